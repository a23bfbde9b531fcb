//! Tests of the file's credentials, and of their effect on the two built-in ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::SourceConfig;

const PLATFORM: (&str, &str) = ("PLATFORM_URL", "https://platform.example");
const PERSONA: [(&str, &str); 2] = [("GITEA_USER", "bot"), ("GITEA_TOKEN", "hunter2")];
const GITEA: &str = "[[credential]]\nname = \"gitea\"\norigins = [\"git.example.com\"]\nsource = \"persona\"\n";

#[test]
fn an_entry_of_another_name_is_added_to_the_built_in_ones() {
    let entry = "[[credential]]\nname = \"mine\"\norigins = [\"m.example\"]\nusername = \"me\"\nsource = { variable = \"MINE\" }";
    let config = from_file(entry, &[PLATFORM, PERSONA[0], PERSONA[1], ("MINE", "pw")]);
    assert_eq!(names(&config), ["github", "mine", "persona"]);
    assert!(config.credential("mine").unwrap().is_persona());
    assert_eq!(owner_of(&config, "m.example"), Some("mine"));
}

#[test]
fn an_entry_named_like_a_built_in_keeps_what_it_doesnt_mention() {
    let entry = "[[credential]]\nname = \"github\"\norigins = [\"ghe.example\"]\nrefresh = { interval = \"30m\" }";
    let config = from_file(entry, &[PLATFORM, ("GH_TOKEN", "ghs_x")]);
    let github = config.credential("github").unwrap();
    assert_eq!(origins(github), ["ghe.example"]);
    assert_eq!(github.policy.interval.as_secs(), 1800);
    assert_eq!(config.refresh.interval.as_secs(), 2700);
    assert!(matches!((&github.source, &github.fallback), (SourceConfig::Platform(_), Some(SourceConfig::Env(_)))));
    let entry = "[[credential]]\nname = \"persona\"\norigins = [\"git.example.com\"]";
    let config = from_file(entry, &PERSONA);
    assert_eq!(origins(config.credential("persona").unwrap()), ["git.example.com"]);
}

#[test]
fn a_persona_scoped_by_an_entry_has_no_other_origin() {
    let config = from_file(GITEA, &[PLATFORM, PERSONA[0], PERSONA[1]]);
    assert_eq!(names(&config), ["github", "gitea"]);
    assert_eq!(&*config.credential("gitea").unwrap().username, "bot");
    assert_eq!(owner_of(&config, "elsewhere.example"), None);
}

#[test]
fn an_entry_that_takes_github_com_takes_it_from_the_built_in() {
    let entry =
        "[[credential]]\nname = \"main\"\norigins = [\"github.com\"]\nsource = \"platform\"\nfallback = \"env\"";
    let config = from_file(entry, &[PLATFORM, ("GH_TOKEN", "ghs_x")]);
    assert_eq!(owner_of(&config, "github.com"), Some("main"));
    assert!(config.credential("main").unwrap().fallback.is_some());
}

#[test]
fn a_file_without_github_still_claims_its_hosts() {
    let config = from_file(&GITEA.replace("[\"git.example.com\"]", "\"any\""), &PERSONA);
    assert_eq!(names(&config), ["gitea"]);
    assert_eq!(owner_of(&config, "git.example.com"), Some("gitea"));
    assert_eq!(owner_of(&config, "github.com"), None);
}

#[test]
fn rule51_a_built_in_switched_off_in_the_file_keeps_its_hosts() {
    let entry = "[[credential]]\nname = \"github\"\nsource = \"none\"";
    let config = from_file(entry, &[PLATFORM, PERSONA[0], PERSONA[1]]);
    assert_eq!(names(&config), ["persona"]);
    assert_eq!(owner_of(&config, "github.com"), None);
}

#[test]
fn a_credential_without_its_variables_is_unconfigured_not_wrong() {
    let text =
        format!("{GITEA}[[credential]]\nname = \"x\"\norigins = [\"x.example\"]\nsource = {{ variable = \"X\" }}");
    let config = from_file(&text.replace("source = \"persona\"", "username = \"u\"\nsource = \"persona\""), &[]);
    let persona = "[[credential]]\nname = \"persona\"\norigins = [\"p.example\"]";
    for (env, what) in [(&[][..], "set GIT_HTTP_PASSWORD"), (&[PERSONA[1]], "set GIT_HTTP_USERNAME")] {
        let config = from_file(persona, env);
        let SourceConfig::Missing(text) = &config.credential("persona").unwrap().source else { panic!() };
        assert!(text.starts_with(what), "{text}");
    }
    for name in ["gitea", "x"] {
        assert!(
            matches!(&config.credential(name).unwrap().source, SourceConfig::Missing(what) if what.contains("set "))
        );
    }
}

#[test]
fn a_command_sees_the_environment_without_the_credentials_in_it() {
    let text = "[[credential]]\nname = \"c\"\norigins = [\"c.example\"]\nsource = { command = [\"/bin/c\", \"-x\"] }\n\
                [[credential]]\nname = \"v\"\norigins = [\"v.example\"]\nsource = { variable = \"MINE\" }";
    let config = from_file(text, &[("PATH", "/bin"), ("MINE", "pw"), ("GH_TOKEN", "ghs_x"), ("NOTIFY_SOCKET", "@s")]);
    let SourceConfig::Command { argv, env } = &config.credential("c").unwrap().source else { panic!() };
    assert_eq!(argv, &["/bin/c", "-x"]);
    assert_eq!(env.keys().collect::<Vec<_>>(), ["PATH"]);
}

#[test]
fn an_entrys_own_platform_ignores_the_images_variables() {
    let text = "[[credential]]\nname = \"other\"\norigins = [\"o.example\"]\n\
                source = { platform = \"http://o\", bearer_file = \"/run/b\", allow_missing_expiry = true }";
    let config = from_file(text, &[PLATFORM, ("WORKSPACE_ID", "w")]);
    let SourceConfig::Platform(other) = &config.credential("other").unwrap().source else { panic!() };
    assert_eq!((&*other.url, &*other.workspace_id, other.allow_missing_expiry), ("http://o", "", true));
    assert_eq!(other.bearer_path, Path::new("/run/b"));
}

#[test]
fn the_time_of_an_attempt_reaches_the_platform() {
    let config = from_file("[refresh]\nattempt_timeout = \"3s\"", &[PLATFORM]);
    let SourceConfig::Platform(settings) = &config.credentials[0].source else { panic!() };
    assert_eq!(settings.timeout.as_secs(), 3);
}

#[test]
fn a_named_file_must_exist_and_be_trustworthy() {
    let folder = molecule_test_kit::temp_folder();
    let path = folder.path().join("m.toml");
    let named: Env =
        [("MOLECULE_BROKER_CONFIG", path.as_os_str()), ("MOLECULE_BROKER_SOCKET", "/s".as_ref())].into_iter().collect();
    let load = || crate::config::load(&Flags::default(), &named);
    let missing = load().unwrap_err().to_string();
    assert!(missing.starts_with("environment MOLECULE_BROKER_CONFIG: ") && missing.contains("m.toml"), "{missing}");
    fs::write(&path, "[log]\nfilter = \"warn\"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(load().unwrap().log.filter, "warn");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(load().unwrap_err().to_string().contains("chmod go-w"));
}

#[test]
fn a_file_mode_is_octal_with_and_without_quotes() {
    for mode in ["\"0660\"", "\"660\"", "0o660"] {
        assert_eq!(from_file(&format!("[socket]\nmode = {mode}"), &[]).socket.mode, 0o660);
    }
}

#[test]
fn a_user_allowed_by_one_credential_alone_brings_a_warning() {
    let text = "[[credential]]\nname = \"github\"\nallow_users = [0, \"agent\", 4000]";
    let config = from_file(text, &[]);
    assert_eq!(uids(config.credentials[0].allow.as_ref().unwrap()), [0, AGENT, 4000]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("uid 4000"));
}
