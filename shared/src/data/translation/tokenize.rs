use std::sync::LazyLock;

use regex::Regex;

/// What is replaced by what, in this order.
static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    [
        // Signs of ASCII other than apostrophe, hyphen, comma and period.
        (r"([\{-~\[-` -\&\(-\+:-@/])", " $1 "),
        // A period or comma stays with digits on both sides alone.
        (r"([^0-9])([\.,])", "$1 $2 "),
        (r"([\.,])([^0-9])", " $1 $2"),
        // A hyphen after a digit.
        (r"([0-9])(-)", "$1 $2 "),
    ]
    .map(|(pattern, by)| (Regex::new(pattern).expect("a constant"), by))
});

/// The words and signs of a line, as the scoring script mteval-v13a has them, which is sacreBLEU's default `13a`.
///
/// Signs of ASCII are tokens of their own, except apostrophes, hyphens that follow no digit, and commas and periods
/// within numbers. What is joined by blanks from tokens has these tokens again.
///
/// ```
/// use rekindle_shared::data::translation::tokenize_13a;
///
/// let tokens = tokenize_13a("A man's T-shirt (size 1.5), \"new\".");
/// assert_eq!(tokens.join(" "), "A man's T-shirt ( size 1.5 ) , \" new \" .");
/// ```
pub fn tokenize_13a(line: &str) -> Vec<String> {
    let mut line = line.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, sign) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(entity, sign);
    }
    line = format!(" {line} ");
    for (pattern, by) in &*RULES {
        line = pattern.replace_all(&line, *by).into_owned();
    }
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sacreBLEU 2.6.0 gives.
    #[test]
    fn lines_are_split_as_sacrebleu_splits_them() {
        for (line, tokens) in [
            (
                "It costs $1,000.50, \"ok\"? (Yes: 5-year-old's T-shirt & co.) &quot;x&amp;y&quot;",
                "It costs $ 1,000.50 , \" ok \" ? ( Yes : 5 - year-old's T-shirt & co . ) \" x & y \"",
            ),
            ("a.b,c 3.d e.4 4-5 -6 7-", "a . b , c 3 . d e . 4 4 - 5 -6 7 -"),
            ("Hello...world!! <skipped>ok", "Hello . . . world ! ! ok"),
            ("  tab\tand\u{a0}nbsp  ", "tab and nbsp"),
            ("[x]{y}~z`w@v/u;t^s_r|q\\p", "[ x ] { y } ~ z ` w @ v / u ; t ^ s _ r | q \\ p"),
            ("Zürich „Straße“ 10.000,5. ...", "Zürich „Straße“ 10.000,5 . . . ."),
            (".5,", ". 5 ,"),
            ("1..2", "1 . . 2"),
            ("end-\nof line\nx", "endof line x"),
            ("&lt;b&gt; &amp;lt;", "< b > <"),
            ("", ""),
        ] {
            assert_eq!(tokenize_13a(line).join(" "), tokens);
        }
    }
}
