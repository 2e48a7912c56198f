use super::{
    testing::{at, http, nobody, server},
    *,
};

async fn ask(answer: Vec<u8>, hang: bool) -> Result<Vec<u8>, RpcError> {
    let (address, _task) = server(vec![answer], hang).await;
    let http = Http::new(&at(address))?;
    http.send(http.post(&["json", "2"])).await.map(|answer| answer.body)
}

#[test]
fn only_https_without_a_user_passes_unless_insecure() {
    for (url, insecure, passes) in [
        ("https://acme.odoo.com", false, true),
        ("http://acme.odoo.com", false, false),
        ("http://acme.odoo.com", true, true),
        ("ftp://acme.odoo.com", true, false),
        ("https://me:pw@acme.odoo.com", false, false),
        ("https://acme.odoo.com/?db=x", false, false),
        ("acme.odoo.com", true, false),
    ] {
        assert_eq!(base_url(url, insecure).is_ok(), passes, "{url}");
    }
}

#[tokio::test]
async fn half_a_body_is_unknown() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1, 2".to_vec();
    let Err(RpcError::Unknown { message }) = ask(half, false).await else {
        panic!("unknown")
    };
    assert!(message.starts_with("the connection broke"), "{message}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_unknown() {
    let slow = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1, 2".to_vec();
    let message = "timeout after 0.3 s".to_owned();
    assert_eq!(ask(slow, true).await, Err(RpcError::Unknown { message }));
}

#[tokio::test]
async fn a_connection_closed_without_a_word_is_unknown() {
    let Err(error) = ask(Vec::new(), false).await else {
        panic!("an error")
    };
    assert!(error.outcome_unknown(), "{error}");
}

#[tokio::test]
async fn a_compressed_answer_is_read() {
    // A gzip member with one stored block, made by hand: header, block, CRC-32 and length of `[1]`.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 3, 0, 0xfc, 0xff];
    packed.extend_from_slice(b"[1]");
    packed.extend_from_slice(&0x4c2f_32b8_u32.to_le_bytes());
    packed.extend_from_slice(&3_u32.to_le_bytes());
    assert_eq!(
        ask(http("200 OK", "content-encoding: gzip\r\n", &packed), false).await,
        Ok(b"[1]".to_vec())
    );
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let long = |bytes: usize| Response::from(::http::Response::new(vec![b'x'; bytes]));
    let read = |bytes| whole(long(bytes), 2 << 20, PROBE);
    assert_eq!(read(2 << 20).await.map(|body| body.len()), Ok(2 << 20));
    let message = "an answer of more than 2 MiB".to_owned();
    assert_eq!(read((2 << 20) + 1).await, Err(RpcError::Unknown { message }));
}

#[tokio::test]
async fn a_port_on_which_nobody_listens_is_unreachable() {
    let address = nobody().await;
    let http = Http::new(&at(address)).expect("good options");
    let Err(error) = http.send(http.get(&["web"])).await else {
        panic!("an error")
    };
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains(&address.to_string()), "{error}");
}
