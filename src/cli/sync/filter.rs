//! Which paths take part in a sync: `--filter-from`, `--exclude` and `--include`, in this order.
//!
//! The rules hold for both sides: what is filtered out is neither compared nor transferred nor deleted.

use super::fnmatch::Pattern;

/// What a rule of a filter file does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Include,
    Exclude,
}

/// The filters of one command.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Filter {
    rules: Vec<(Sign, Pattern)>,
    excludes: Vec<Pattern>,
    includes: Vec<Pattern>,
}

impl Filter {
    /// Filters by the two options.
    pub(in crate::cli) fn new(includes: &[String], excludes: &[String]) -> Self {
        let compile = |patterns: &[String]| patterns.iter().map(|text| Pattern::new(text)).collect();
        Self { rules: Vec::new(), excludes: compile(excludes), includes: compile(includes) }
    }

    /// With the rules of a filter file before them: lines of `+ pattern` or `- pattern`; a bare pattern includes;
    /// empty lines and those that begin with `#` say nothing.
    #[must_use]
    pub(in crate::cli) fn with_file(mut self, text: &str) -> Self {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (sign, pattern) = match line.split_at_checked(1) {
                Some(("+", rest)) => (Sign::Include, rest.trim()),
                Some(("-", rest)) => (Sign::Exclude, rest.trim()),
                _ => (Sign::Include, line),
            };
            self.rules.push((sign, Pattern::new(pattern)));
        }
        self
    }

    /// Whether a path takes part. The first rule of the file that matches decides; then excludes win over includes;
    /// where includes were given, what none of them matches is out.
    pub(in crate::cli) fn allows(&self, path: &str) -> bool {
        if let Some((sign, _)) = self.rules.iter().find(|(_, pattern)| pattern.matches(path)) {
            return *sign == Sign::Include;
        }
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(path));
        !any(&self.excludes) && (self.includes.is_empty() || any(&self.includes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(includes: &[&str], excludes: &[&str], file: &str) -> Filter {
        let own = |patterns: &[&str]| patterns.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Filter::new(&own(includes), &own(excludes)).with_file(file)
    }

    #[test]
    fn no_filter_lets_everything_in() {
        assert!(filter(&[], &[], "").allows("any/thing"));
    }

    #[test]
    fn excludes_win_over_includes_and_includes_leave_the_rest_out() {
        let filter = filter(&["*.txt"], &["secret*"], "");
        assert!(filter.allows("a/b.txt"));
        assert!(!filter.allows("secret.txt"));
        assert!(!filter.allows("a.bin"));
    }

    #[test]
    fn the_first_rule_of_the_file_that_matches_decides() {
        let filter =
            filter(&["*.md"], &["*.log"], "# comment\n\n- *.tmp\n+ keep.*\n  -keep.log \nbare.log\n");
        assert!(!filter.allows("x.tmp"));
        assert!(filter.allows("keep.log"), "the second rule comes before the third and before --exclude");
        assert!(filter.allows("bare.log"), "a bare pattern includes");
        assert!(!filter.allows("other.log"));
        assert!(filter.allows("x.md"));
        assert!(!filter.allows("x.bin"), "--include was given");
    }

    #[test]
    fn includes_of_a_file_alone_leave_nothing_out() {
        assert!(filter(&[], &[], "+ *.safetensors").allows("other.bin"));
    }
}
