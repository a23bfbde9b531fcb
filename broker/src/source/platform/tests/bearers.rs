//! The bearer is read anew for every request, and rule 45.

use super::*;

fn only_the_old(bearer: &str) -> String {
    match bearer {
        "old" => good(TOKEN),
        _ => reply("401 No", "", ""),
    }
}

fn only_the_new(bearer: &str) -> String {
    match bearer {
        "new" => good(TOKEN),
        _ => reply("403 No", "", ""),
    }
}

#[tokio::test]
async fn without_a_bearer_the_platform_is_not_asked() {
    let (address, log) = server(vec![Act::Say(good(TOKEN))]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    std::fs::remove_file(configs.path()).unwrap();
    let failure = platform.fetch().await.unwrap_err();
    assert_eq!(failure.class, Class::Config);
    assert!(failure.message.contains(".auth_token can't be read"), "{failure}");
    assert!(log.heads().is_empty());
    configs.write("\n late \n");
    platform.fetch().await.unwrap();
    assert_eq!(log.bearers(), ["late"]);
}

#[tokio::test]
async fn rule45_an_unusable_bearer_file_leaves_the_last_one_in_use() {
    let (address, log) = server(vec![Act::Say(good(TOKEN))]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    configs.write("old\n");
    platform.fetch().await.unwrap();
    for content in ["", " \n", "two words", &"x".repeat(10_000)] {
        configs.write(content);
        platform.fetch().await.unwrap();
    }
    std::fs::remove_file(configs.path()).unwrap();
    platform.fetch().await.unwrap();
    std::fs::create_dir(configs.path()).unwrap();
    platform.fetch().await.unwrap();
    assert_eq!(log.bearers(), ["old"; 7]);
}

#[tokio::test]
async fn rule45_a_new_bearer_is_used_at_once() {
    let (address, log) = server(vec![Act::ByBearer(only_the_new)]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    configs.write("old");
    assert_eq!(platform.fetch().await.unwrap_err().class, Class::Http403);
    configs.write("new");
    platform.fetch().await.unwrap();
    assert_eq!(log.bearers(), ["old", "new"]);
}

#[tokio::test]
async fn rule45_a_refused_new_bearer_gives_way_to_the_previous_one() {
    let (address, log) = server(vec![Act::ByBearer(only_the_old)]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    configs.write("old");
    platform.fetch().await.unwrap();
    // The new bearer is first half written, then whole. The platform knows
    // neither yet.
    configs.write("ne");
    platform.fetch().await.unwrap();
    configs.write("new");
    platform.fetch().await.unwrap();
    assert_eq!(log.bearers(), ["old", "ne", "old", "new", "old"]);
}

#[tokio::test]
async fn rule45_a_previous_bearer_that_is_refused_is_not_tried_again() {
    let (address, log) = server(vec![Act::Say(good(TOKEN)), Act::Say(reply("401 No", "", ""))]).await;
    let configs = Configs::new();
    let platform = platform(&address, &configs);
    configs.write("old");
    platform.fetch().await.unwrap();
    configs.write("new");
    for _ in 0..3 {
        assert_eq!(platform.fetch().await.unwrap_err().class, Class::Http401);
    }
    assert_eq!(log.bearers(), ["old", "new", "old", "new", "new"]);
}

#[tokio::test]
async fn rule45_a_bearer_that_did_not_change_is_tried_once() {
    let (address, log) = server(vec![Act::Say(reply("401 No", "", ""))]).await;
    let configs = Configs::new();
    let failure = platform(&address, &configs).fetch().await.unwrap_err();
    assert!(failure.message.contains("see /"), "{failure}");
    assert_eq!(log.heads().len(), 1);
}

#[tokio::test]
async fn both_tries_share_the_time_of_one_attempt() {
    let (address, log) =
        server(vec![Act::Say(good(TOKEN)), Act::Say(reply("401 No", "", "")), Act::Hold(String::new())]).await;
    let configs = Configs::new();
    let mut platform = platform(&address, &configs);
    platform.fetch().await.unwrap();
    platform.timeout = Duration::from_secs(2);
    configs.write("new");
    let failure = timeout(LONG, platform.fetch()).await.expect("it ends").unwrap_err();
    assert_eq!(failure.class, Class::Timeout);
    assert_eq!(log.heads().len(), 3);
}
