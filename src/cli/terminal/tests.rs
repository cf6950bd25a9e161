//! What each form prints, byte for byte.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use super::listing::{Entry, Form};
use super::*;

/// A stream whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `act` prints on the two streams.
fn printed(mode: Mode, act: impl FnOnce(&mut Terminal) -> Result<(), Failure>) -> (String, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let style = Style { mode, colors: true, columns: Some(60) };
    let input = Box::new(Cursor::new(b"perhaps\ny\n".to_vec()));
    let mut terminal = Terminal::new(style, input, Box::new(out.clone()), Box::new(err.clone()));
    act(&mut terminal).unwrap();
    (out.take(), err.take())
}

fn removed() -> Fields {
    let mut fields = Fields::texts([("path", "a.txt"), ("bucket_id", "u/b")]);
    fields.0.push(("private", Value::Flag(true)));
    fields
}

#[test]
fn a_result_in_each_form() {
    let result = |mode| printed(mode, |terminal| terminal.result("File removed", &removed())).0;
    assert_eq!(
        result(Mode::Human),
        "\u{1b}[32m✓ File removed\u{1b}[0m\n  path: a.txt\n  bucket_id: u/b\n  private: True\n"
    );
    assert_eq!(result(Mode::Agent), "path=a.txt bucket_id=u/b private=True\n");
    assert_eq!(result(Mode::Json), "{\"path\": \"a.txt\", \"bucket_id\": \"u/b\", \"private\": true}\n");
    assert_eq!(result(Mode::Quiet), "a.txt\n");
}

#[test]
fn a_table_in_each_form() {
    let row = |id: &str, private, size| {
        Fields(vec![
            ("id", Value::Text(id.to_owned())),
            ("private", Value::Flag(private)),
            ("created_at", Value::Moment(Timestamp(1_768_473_000_000))),
            ("size", Value::Count(size)),
        ])
    };
    let columns =
        [("id", Align::Left), ("private", Align::Left), ("size", Align::Right), ("created_at", Align::Left)];
    let rows = [row("u/bk", false, 7), row("u/secret", true, 1234)];
    let table = |mode, rows: &[Fields]| printed(mode, |terminal| terminal.table(&columns, rows));
    assert_eq!(
        table(Mode::Human, &rows).0,
        "ID       PRIVATE SIZE CREATED_AT\n\
         -------- ------- ---- ----------\n\
         u/bk                7 2026-01-15\n\
         u/secret ✔       1234 2026-01-15\n"
    );
    assert_eq!(
        table(Mode::Agent, &rows).0,
        "id\tprivate\tsize\tcreated_at\n\
         u/bk\tFalse\t7\t2026-01-15T10:30:00+00:00\n\
         u/secret\tTrue\t1234\t2026-01-15T10:30:00+00:00\n"
    );
    assert_eq!(
        table(Mode::Json, &rows[..1]).0,
        "[\n  {\n    \"id\": \"u/bk\",\n    \"private\": false,\n    \
         \"created_at\": \"2026-01-15T10:30:00+00:00\",\n    \"size\": 7\n  }\n]\n"
    );
    assert_eq!(table(Mode::Quiet, &rows).0, "u/bk\nu/secret\n");
    assert_eq!(table(Mode::Human, &[]).0, "No results found.\n");
    assert_eq!(table(Mode::Json, &[]).0, "[]\n");
    assert_eq!(table(Mode::Quiet, &[]).0, "");

    let long = [row(&format!("u/{}", "x".repeat(60)), false, 7)];
    let (out, err) = table(Mode::Human, &long);
    assert_eq!(out.lines().next().unwrap().chars().count(), 60);
    assert_eq!(
        err,
        "\u{1b}[90mHint: Use `--no-truncate` or `--format json` to display full values.\u{1b}[0m\n"
    );
}

#[test]
fn properties_are_json_in_every_form_but_the_quiet_one() {
    let fields = Fields(vec![("id", Value::Text("u/b".to_owned())), ("size", Value::Count(0))]);
    let properties = |mode| printed(mode, |terminal| terminal.properties("id", &fields)).0;
    assert_eq!(properties(Mode::Human), "{\n  \"id\": \"u/b\",\n  \"size\": 0\n}\n");
    assert_eq!(properties(Mode::Agent), "{\"id\": \"u/b\", \"size\": 0}\n");
    assert_eq!(properties(Mode::Json), "{\"id\": \"u/b\", \"size\": 0}\n");
    assert_eq!(properties(Mode::Quiet), "u/b\n");
}

#[test]
fn only_people_are_asked() {
    let (out, err) = printed(Mode::Human, |terminal| terminal.confirm("Sure?", false));
    assert_eq!((out.as_str(), err.as_str()), ("Sure? [y/N]: Sure? [y/N]: ", "Error: invalid input\n"));
    assert_eq!(printed(Mode::Human, |terminal| terminal.confirm("Sure?", true)).0, "");
    printed(Mode::Json, |terminal| {
        let refused = terminal.confirm("Sure?", false).unwrap_err();
        assert_eq!(refused.to_string(), "Sure? Use --yes to skip confirmation.");
        Ok(())
    });
}

fn file(path: &str, size: u64) -> Entry {
    let at = Some(Timestamp(1_768_473_000_000));
    Entry::File { path: path.to_owned(), size, xet_hash: "ab".repeat(32), mtime: at, uploaded_at: at }
}

fn files() -> [Entry; 4] {
    [file("big.bin", 2048), file("file.txt", 5), file("sub/deep/file.txt", 4), file("sub/nested.txt", 14)]
}

fn listing(mode: Mode, entries: &[Entry], human_readable: bool, tree: bool, recursive: bool) -> String {
    printed(mode, |terminal| terminal.listing(entries, Form { human_readable, tree, recursive })).0
}

#[test]
fn a_listing_has_size_date_and_path() {
    assert_eq!(
        listing(Mode::Human, &files(), false, false, true),
        concat!(
            "        2048  2026-01-15 10:30:00  big.bin\n",
            "           5  2026-01-15 10:30:00  file.txt\n",
            "           4  2026-01-15 10:30:00  sub/deep/file.txt\n",
            "          14  2026-01-15 10:30:00  sub/nested.txt\n",
        )
    );
    assert_eq!(
        listing(Mode::Human, &files()[..2], true, false, true),
        "      2.0 KB         Jan 15 10:30  big.bin\n         5 B         Jan 15 10:30  file.txt\n"
    );
    let folder = [Entry::Folder { path: "sub".to_owned(), uploaded_at: Some(Timestamp(1_768_473_000_000)) }];
    assert_eq!(
        printed(Mode::Human, |terminal| terminal.listing(&folder, Form::default())),
        (
            "              2026-01-15 10:30:00  sub/\n".to_owned(),
            "\u{1b}[90mHint: Use -R to list files recursively.\u{1b}[0m\n".to_owned()
        )
    );
    assert_eq!(listing(Mode::Quiet, &folder, false, false, false), "sub/\n");
    assert_eq!(
        listing(Mode::Json, &folder, false, false, true),
        "[\n  {\n    \"type\": \"directory\",\n    \"path\": \"sub\",\n    \
         \"uploaded_at\": \"2026-01-15T10:30:00+00:00\"\n  }\n]\n"
    );
    assert_eq!(listing(Mode::Human, &[], false, false, false), "(empty)\n");
    assert_eq!(listing(Mode::Json, &[], false, false, false), "");
}

#[test]
fn a_tree_is_that_of_the_guide() {
    assert_eq!(
        listing(Mode::Human, &files(), true, true, true),
        concat!(
            "2.0 KB  Jan 15 10:30  ├── big.bin\n",
            "   5 B  Jan 15 10:30  ├── file.txt\n",
            "                      └── sub/\n",
            "                          ├── deep/\n",
            "   4 B  Jan 15 10:30      │   └── file.txt\n",
            "  14 B  Jan 15 10:30      └── nested.txt\n",
        )
    );
    assert_eq!(
        listing(Mode::Quiet, &files(), false, true, true),
        "├── big.bin\n├── file.txt\n└── sub/\n    ├── deep/\n    │   └── file.txt\n    └── nested.txt\n"
    );
}
