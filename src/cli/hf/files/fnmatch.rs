//! Shell patterns as Python's `fnmatch.fnmatchcase` understands them, since filters are written for `hf`.
//!
//! `*` is any run of characters (`/` too), `?` any one, `[...]` a class, `[!...]` its opposite; all else is itself.
//! A pattern must match the whole path. Two habits of Python's classes are kept: a range that runs backwards is dropped
//! (its two ends as well), and after a range the next character cannot begin another.
//!
//! Source: Python 3.11 library reference, "fnmatch".

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Char(char),
    AnyOne,
    AnyRun,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::AnyOne => true,
            Self::AnyRun => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *negated
            }
        }
    }
}

impl Pattern {
    /// Every text is a pattern. Backslashes are read as the separators that they are on Windows.
    pub(in crate::cli) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().map(|c| if c == '\\' { '/' } else { c }).collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            let piece = match c {
                '*' if pieces.last() == Some(&Piece::AnyRun) => continue,
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                '[' => match class_end(&chars, at) {
                    Some(end) => {
                        let class = class(&chars[at..end]);
                        at = end + 1;
                        class
                    }
                    None => Piece::Char('['),
                },
                c => Piece::Char(c),
            };
            pieces.push(piece);
        }
        Self(pieces)
    }

    /// Whether the whole of `path` matches. Time grows with the product of the two lengths at worst: after a mismatch
    /// only the last `*` takes one more character, earlier ones need not.
    pub(in crate::cli) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let (mut piece, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match self.0.get(piece) {
                Some(Piece::AnyRun) => {
                    piece += 1;
                    retry = Some((piece, at));
                    continue;
                }
                Some(one) if path.get(at).is_some_and(|&c| one.takes(c)) => {
                    piece += 1;
                    at += 1;
                    continue;
                }
                None if at == path.len() => return true,
                _ => {}
            }
            match retry {
                Some((after_star, from)) if from < path.len() => {
                    retry = Some((after_star, from + 1));
                    (piece, at) = (after_star, from + 1);
                }
                _ => return false,
            }
        }
    }

    /// Whether it matches every path below a folder. `folder` ends with a slash. True only where that is certain: what
    /// ends in a star and matches the folder itself matches all that is in it.
    pub(in crate::cli) fn matches_all_below(&self, folder: &str) -> bool {
        self.0.last() == Some(&Piece::AnyRun) && self.matches(folder)
    }

    /// Whether it may match a path below a folder. `folder` ends with a slash. False only where that is certain: what
    /// stands before the first wildcard leads elsewhere.
    pub(in crate::cli) fn may_match_below(&self, folder: &str) -> bool {
        let literal: Vec<char> = self
            .0
            .iter()
            .map_while(|piece| match piece {
                Piece::Char(own) => Some(*own),
                _ => None,
            })
            .collect();
        let mut both = folder.chars().zip(&literal);
        let agree = both.all(|(a, b)| a == *b);
        let is_literal = literal.len() == self.0.len();
        agree && !(is_literal && literal.len() <= folder.chars().count())
    }
}

/// Where the `]` is that ends a class begun before `start`; one that comes first belongs to the class.
fn class_end(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if chars.get(at) == Some(&'!') {
        at += 1;
    }
    if chars.get(at) == Some(&']') {
        at += 1;
    }
    (at..chars.len()).find(|&at| chars[at] == ']')
}

/// The class between its brackets.
fn class(inner: &[char]) -> Piece {
    // A class is runs of single characters; between two runs stands the hyphen of a range, whose ends are the last of
    // the one and the first of the other.
    let mut runs: Vec<Vec<char>> = Vec::new();
    let (mut begin, mut from) = (0, if inner.first() == Some(&'!') { 2 } else { 1 });
    while let Some(hyphen) = (from..inner.len()).find(|&at| inner[at] == '-') {
        runs.push(inner[begin..hyphen].to_vec());
        begin = hyphen + 1;
        from = hyphen + 3;
    }
    match runs.last_mut() {
        Some(last) if begin == inner.len() => last.push('-'),
        _ => runs.push(inner[begin..].to_vec()),
    }
    for right in (1..runs.len()).rev() {
        if runs[right - 1].last() > runs[right].first() {
            let rest = runs.remove(right);
            runs[right - 1].pop();
            runs[right - 1].extend_from_slice(&rest[1..]);
        }
    }
    // Only now: what a dropped range leaves in front may be the mark.
    let negated = runs[0].first() == Some(&'!');
    if negated {
        runs[0].remove(0);
    }
    if runs[0].is_empty() && runs.len() > 1 {
        // A hyphen with nothing before it is one.
        runs[0].push('-');
        let next = runs.remove(1);
        runs[0].extend(next);
    }
    let ends = runs.windows(2).filter_map(|pair| Some((*pair[0].last()?, *pair[1].first()?)));
    let singles = runs.iter().flatten().map(|&c| (c, c));
    Piece::Class { negated, ranges: ends.chain(singles).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(path: &str, pattern: &str) -> bool {
        Pattern::new(pattern).matches(path)
    }

    #[test]
    fn patterns_match_whole_paths_and_stars_cross_folders() {
        for (path, pattern) in [
            ("a/b/c.txt", "*.txt"),
            ("c.txt", "c.txt"),
            ("", "*"),
            ("a\nb", "a?b"),
            ("data/x", "data\\*"),
            ("aXbXc", "a*X*c"),
            ("é", "?"),
        ] {
            assert!(matches(path, pattern), "{path:?} {pattern:?}");
        }
        for (path, pattern) in
            [("a/c.txt", "c.txt"), ("a.TXT", "*.txt"), ("ab", "a"), ("ab", "?"), ("", "?"), ("abc", "a*d")]
        {
            assert!(!matches(path, pattern), "{path:?} {pattern:?}");
        }
    }

    #[test]
    fn classes_have_pythons_habits() {
        for (path, pattern) in [
            ("b", "[a-c]"),
            ("d", "[!a-c]"),
            ("]", "[]]"),
            ("-", "[a-]"),
            ("-", "[-a]"),
            ("[", "["),
            ("[a", "[a"),
            ("^", "[^]"),
            ("-", "[a-c-e]"),
            ("e", "[a-c-e]"),
            ("x", "[z-ax]"),
            ("q", "[!z-a]"),
            (".", "[a-^!]"),
        ] {
            assert!(matches(path, pattern), "{path:?} {pattern:?}");
        }
        for (path, pattern) in
            [("d", "[a-c]"), ("d", "[a-c-e]"), ("a", "[z-a]"), ("z", "[z-a]"), ("]", "[!]]"), ("b", "[!a-c]")]
        {
            assert!(!matches(path, pattern), "{path:?} {pattern:?}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        assert!(!matches(&"a".repeat(5_000), &format!("{}b", "a*".repeat(500))));
    }
}
