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

    /// Whether this very path is excluded, and not merely left out because something else was included.
    pub(in crate::cli) fn excludes(&self, path: &str) -> bool {
        match self.rules.iter().find(|(_, pattern)| pattern.matches(path)) {
            Some((sign, _)) => *sign == Sign::Exclude,
            None => self.excludes.iter().any(|pattern| pattern.matches(path)),
        }
    }

    /// Whether no path below a folder takes part, so that the folder need not be opened. `folder` ends with a slash. True
    /// only where that is certain.
    pub(in crate::cli) fn excludes_all_below(&self, folder: &str) -> bool {
        for (sign, pattern) in &self.rules {
            match sign {
                Sign::Exclude if pattern.matches_all_below(folder) => return true,
                Sign::Include if pattern.may_match_below(folder) => return false,
                Sign::Exclude | Sign::Include => {}
            }
        }
        self.excludes.iter().any(|pattern| pattern.matches_all_below(folder))
            || (!self.includes.is_empty()
                && !self.includes.iter().any(|pattern| pattern.may_match_below(folder)))
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

    #[test]
    fn a_folder_is_out_only_if_nothing_below_it_can_be_in() {
        let out = |includes: &[&str], excludes: &[&str], file: &str| {
            filter(includes, excludes, file).excludes_all_below("lost+found/")
        };
        for pattern in ["lost+found/*", "lost*", "*", "lost[+]found*", "l?st+found/**"] {
            assert!(out(&[], &[pattern], ""), "{pattern}");
            assert!(out(&[], &[], &format!("- {pattern}")), "{pattern}");
        }
        for pattern in ["lost+found", "lost+found/", "lost+found/*.txt", "*.txt", "other/*", "lost+found/a*"]
        {
            assert!(!out(&[], &[pattern], ""), "{pattern}");
        }
        assert!(out(&["data/*", "a.txt"], &[], ""), "nothing below it is included");
        for pattern in ["*.txt", "lost+found/a", "lost+found/*", "lost*x", "[a-z]*"] {
            assert!(!out(&[pattern], &[], ""), "{pattern}");
        }
        assert!(!out(&[], &[], "+ *.txt\n- lost+found/*"), "an earlier rule takes some of it");
        assert!(out(&[], &[], "+ data/*\n- lost+found/*"));
        assert!(out(&[], &["lost+found/*"], "+ data/*.txt"));
    }

    #[test]
    fn a_path_is_excluded_by_a_rule_for_it_alone() {
        assert!(filter(&[], &["lost+found"], "").excludes("lost+found"));
        assert!(filter(&[], &[], "- lost+found").excludes("lost+found"));
        assert!(!filter(&[], &["lost+found"], "+ lost*").excludes("lost+found"));
        assert!(!filter(&["*.txt"], &[], "").excludes("lost+found"), "others were included");
    }
}
