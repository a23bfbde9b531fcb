use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const GITHUB: &str = "credential.https://github.com.helper";
const HELPER: &str = "/usr/local/bin/git-credential-molecule";

fn ours() -> Vec<GitSetting> {
    vec![GitSetting::new(GITHUB, ""), GitSetting::new(GITHUB, HELPER)]
}

fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
    let map: BTreeMap<String, OsString> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    move |name| map.get(name).cloned()
}

fn text(changed: &[(String, OsString)], name: &str) -> Option<String> {
    changed.iter().find(|(n, _)| n == name).map(|(_, value)| value.to_string_lossy().into_owned())
}

#[test]
fn both_forms_of_parameters_are_read_as_git_reads_them() {
    let read = parse_parameters(br#"'User.Name'='it'\''s '\!'' 'core.bare=true'  'a.b.C'= 'flag'"#).unwrap();
    let pairs: Vec<_> = read.iter().map(|s| (s.key.as_str(), s.value.as_deref())).collect();
    let wanted = [("user.name", Some("it's !")), ("core.bare", Some("true")), ("a.b.c", None), ("flag", None)];
    assert_eq!(pairs, wanted);
    for broken in ["x", " 'a.b'='c'", "'a.b'='c", "'a.b'=c", "'a.b'='c''d.e'", "'a.b'x"] {
        assert_eq!(parse_parameters(broken.as_bytes()), Err(BrokenVariables::Parameters), "{broken}");
    }
}

#[test]
fn counted_variables_with_a_part_missing_are_broken() {
    let whole = [(COUNT, "2"), ("GIT_CONFIG_KEY_0", "a.b"), ("GIT_CONFIG_VALUE_0", ""), ("GIT_CONFIG_KEY_1", "c.d")];
    assert_eq!(parse_counted(&environment(&whole)), Err(BrokenVariables::MissingValue(1)));
    assert_eq!(parse_counted(&environment(&[(COUNT, "1")])), Err(BrokenVariables::MissingKey(0)));
    assert_eq!(parse_counted(&environment(&[(COUNT, "1 ")])), Err(BrokenVariables::Count));
    assert_eq!(parse_counted(&environment(&[(COUNT, "")])), Ok(vec![]));
    assert_eq!(parse_counted(&environment(&[(COUNT, "1"), whole[1], whole[2]])), Ok(vec![GitSetting::new("a.b", "")]));
}

#[test]
fn settings_of_other_programs_stay_first_byte_for_byte() {
    let theirs = "'user.name=me'\t'http.extraHeader'='a'\\''b'";
    let changed = append_settings(&ours(), environment(&[(PARAMETERS, theirs)]));
    assert_eq!(changed.len(), 1, "nothing is counted: {changed:?}");
    let wanted = format!("{theirs} {}", quote_settings(&ours()));
    assert_eq!(text(&changed, PARAMETERS).unwrap(), wanted);
    let unreadable = append_settings(&ours(), environment(&[(PARAMETERS, "'half")]));
    assert!(text(&unreadable, PARAMETERS).unwrap().starts_with("'half '"), "{unreadable:?}");
}

#[test]
fn a_second_run_changes_nothing_or_moves_ours_to_the_end() {
    let once = text(&append_settings(&ours(), environment(&[])), PARAMETERS).unwrap();
    assert_eq!(once, format!("'{GITHUB}=' '{GITHUB}={HELPER}'"));
    assert_eq!(text(&append_settings(&ours(), environment(&[(PARAMETERS, &once)])), PARAMETERS).unwrap(), once);
    let emptied = format!("{once} 'credential.helper'=''");
    let again = append_settings(&ours(), environment(&[(PARAMETERS, &emptied)]));
    assert_eq!(text(&again, PARAMETERS).unwrap(), format!("'credential.helper'='' {once}"));
}

#[test]
fn counted_settings_of_an_older_broker_are_moved() {
    let old = [
        (COUNT, "3"),
        ("GIT_CONFIG_KEY_0", "user.name"),
        ("GIT_CONFIG_VALUE_0", "me"),
        ("GIT_CONFIG_KEY_1", GITHUB),
        ("GIT_CONFIG_VALUE_1", ""),
        ("GIT_CONFIG_KEY_2", GITHUB),
        ("GIT_CONFIG_VALUE_2", "molecule"),
    ];
    assert_eq!(text(&append_settings(&ours(), environment(&old)), COUNT).as_deref(), Some("1"));
    let other = GitSetting::new("credential.https://other.example.helper", "/h");
    let moved = append_settings(&[other], environment(&old));
    let wanted = format!("'{GITHUB}=' '{GITHUB}=/h' 'credential.https://other.example.helper=/h'");
    assert_eq!((text(&moved, COUNT).unwrap(), text(&moved, PARAMETERS).unwrap()), ("1".into(), wanted));
    let mut appended = old.to_vec();
    appended[0] = (COUNT, "4");
    appended.extend([("GIT_CONFIG_KEY_3", "credential.helper"), ("GIT_CONFIG_VALUE_3", "")]);
    assert_eq!(
        text(&append_settings(&ours(), environment(&appended)), COUNT),
        None,
        "another program's setting is the last"
    );
}

#[test]
fn helpers_of_other_keys_and_other_programs_stay() {
    let theirs = "'credential.https://other.example.helper'='molecule' 'credential.https://github.com.helper'='!gh'";
    let changed = append_settings(&ours(), environment(&[(PARAMETERS, theirs)]));
    assert!(text(&changed, PARAMETERS).unwrap().starts_with(theirs), "{changed:?}");
    assert_eq!(append_settings(&[], environment(&[(PARAMETERS, theirs)])), []);
}

#[test]
fn the_command_scope_has_counted_settings_before_parameters() {
    let both = [(PARAMETERS, "'c.d'='2'"), (COUNT, "1"), ("GIT_CONFIG_KEY_0", "a.b"), ("GIT_CONFIG_VALUE_0", "1")];
    let wanted = vec![GitSetting::new("a.b", "1"), GitSetting::new("c.d", "2")];
    assert_eq!(command_scope(environment(&both)).unwrap(), wanted);
}

proptest! {
    #[test]
    fn any_setting_is_read_as_it_was_quoted(key in "[a-z]{1,8}\\.[ -~]{0,12}\\.[a-z]{1,8}", value in "\\PC{0,40}") {
        let flag = GitSetting { key: key.to_ascii_lowercase(), value: None };
        let settings = vec![GitSetting::new(&key, &value), flag, GitSetting::new("a.b", "!'\\'' ")];
        prop_assert_eq!(parse_parameters(quote_settings(&settings).as_bytes()).unwrap(), settings);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ '=\\\\!a.\\n]{0,24}") {
        let _ = parse_parameters(text.as_bytes());
    }
}
