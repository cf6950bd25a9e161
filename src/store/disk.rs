//! What an error of the disk means to whoever asked for something to be stored.

use std::io;

/// Whether an error says that there is no space left (or no more of the quota): it goes away when space is made, and
/// until then nothing can be written, though everything can be read.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error says that too many files are open: nothing about the file that was to be opened.
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether an error says that bytes which should be there cannot be had: the file is gone or cut short, or the disk
/// itself gives up on reading it. Other errors (no descriptor, no memory, no permission) say nothing about the bytes.
pub fn is_loss(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
