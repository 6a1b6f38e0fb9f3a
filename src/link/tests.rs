//! The connection to a node against a node that is played by a script.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NODE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A node's control port as far as these tests need it: it answers by the command's words and
/// remembers what it was told.
async fn node(
    replies: impl Fn(&str) -> String + Clone + Send + 'static,
) -> (Endpoint, std::sync::Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = listener.local_addr().unwrap();
    let heard = std::sync::Arc::new(Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, replies.clone(), std::sync::Arc::clone(&told)));
        }
    });
    let at = Endpoint {
        cluster: cluster(),
        pod_uid: "p".into(),
        address: socket.ip(),
        port: socket.port(),
    };
    (at, heard)
}

fn cluster() -> ClusterKey {
    ClusterKey { namespace: "db".into(), name: "cache".into() }
}

fn links() -> Links {
    Links::new(tokio::sync::mpsc::unbounded_channel().0)
}

async fn converse(
    mut stream: TcpStream,
    replies: impl Fn(&str) -> String,
    told: std::sync::Arc<Mutex<Vec<String>>>,
) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        while let Some((words, rest)) = first_request(&text) {
            text = rest;
            told.lock().unwrap().push(words.clone());
            let reply = replies(&words);
            if reply == "close" {
                return;
            }
            if reply == "later" {
                stream.write_all(b"+OK\r\n").await.unwrap();
                tokio::time::sleep(NEWS_AGE_MIN + NEWS_AGE_MIN / 2).await;
                return;
            }
            if reply != "silence" {
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        }
    }
}

fn first_request(text: &str) -> Option<(String, String)> {
    let mut lines = text.split_inclusive("\r\n");
    let count: usize = lines.next()?.trim().strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        lines.next()?;
        words.push(lines.next()?.strip_suffix("\r\n")?.to_owned());
    }
    Some((words.join(" "), lines.collect()))
}

fn good(words: &str) -> String {
    match words {
        "CLUSTER MYID" => format!("$40\r\n{NODE}\r\n"),
        _ => "+OK\r\n".to_owned(),
    }
}

fn command(words: &str) -> Cmd {
    let mut words = words.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        cmd.arg(word);
    });
    cmd
}

#[tokio::test]
async fn an_order_comes_after_the_token_and_after_the_node_has_said_who_it_is() {
    let (at, heard) = node(good).await;
    let links = links();
    links.order(&at, "secret", 7, NODE, &command("CLUSTER BUMPEPOCH")).await.unwrap();
    let heard = heard.lock().unwrap().clone();
    let expected =
        ["AUTH holdfast secret", "HOLDFAST FENCE 7", "CLUSTER MYID", "CLUSTER BUMPEPOCH"];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn nothing_is_ordered_from_another_node_than_the_one_that_was_meant() {
    let (at, heard) = node(good).await;
    let other = "b".repeat(40);
    let order = command("CLUSTER BUMPEPOCH");
    let error = links().order(&at, "s", 7, &other, &order).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherNode { .. }), "{error}");
    assert!(!heard.lock().unwrap().contains(&"CLUSTER BUMPEPOCH".to_owned()));
}

#[tokio::test]
async fn nothing_is_ordered_once_a_later_operator_was_seen() {
    let fenced = |words: &str| match words {
        "HOLDFAST FENCE 7" => "-FENCED a higher token 8 was seen\r\n".to_owned(),
        _ => good(words),
    };
    let (at, heard) = node(fenced).await;
    let order = command("CLUSTER BUMPEPOCH");
    let error = links().order(&at, "s", 7, NODE, &order).await.unwrap_err();
    assert!(matches!(error, LinkError::Fenced { .. }), "{error}");
    assert!(!heard.lock().unwrap().contains(&"CLUSTER BUMPEPOCH".to_owned()));
}

#[tokio::test]
async fn a_connection_is_kept_and_made_anew_when_it_broke() {
    let (at, heard) = node(|words| match words {
        "QUIT" => "close".to_owned(),
        _ => good(words),
    })
    .await;
    let links = links();
    links.ask(&at, "s", &command("PING")).await.unwrap();
    links.ask(&at, "s", &command("PING")).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 3);
    links.ask(&at, "s", &command("QUIT")).await.unwrap_err();
    links.ask(&at, "s", &command("PING")).await.unwrap();
    let logins = heard.lock().unwrap().iter().filter(|w| w.starts_with("AUTH")).count();
    assert!(logins >= 2, "{logins}");
}

#[tokio::test]
async fn a_node_that_never_answers_costs_its_second_and_no_more() {
    let (at, _) = node(|words| match words {
        "PING" => "silence".to_owned(),
        _ => good(words),
    })
    .await;
    let links = links();
    let ping = command("PING");
    let ask = tokio::time::timeout(20 * DEADLINE, links.ask(&at, "s", &ping));
    let error = ask.await.expect("the deadline of the exchange").unwrap_err();
    assert!(matches!(error, LinkError::Deadline(_) | LinkError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn the_node_s_own_words_reach_the_error_and_the_password_does_not() {
    let (at, _) = node(|words| match words {
        "CLUSTER FORGET x" => "-ERR Unknown node x\r\n".to_owned(),
        _ => good(words),
    })
    .await;
    let links = links();
    let error = links.ask(&at, "hush", &command("CLUSTER FORGET x")).await.unwrap_err().to_string();
    assert!(error.contains("CLUSTER FORGET") && error.contains("Unknown node x"), "{error}");
    assert!(!error.contains("hush"));
}

#[tokio::test]
async fn a_connection_that_breaks_while_nobody_asks_wakes_its_cluster() {
    let (at, _) = node(|words| match words {
        "HANGUP" => "later".to_owned(),
        _ => good(words),
    })
    .await;
    let (broken, mut news) = tokio::sync::mpsc::unbounded_channel();
    let links = Links::new(broken);
    links.ask(&at, "s", &command("HANGUP")).await.unwrap();
    let woken = tokio::time::timeout(20 * DEADLINE, news.recv()).await;
    assert_eq!(woken.expect("news of the broken connection"), Some(cluster()));
}
