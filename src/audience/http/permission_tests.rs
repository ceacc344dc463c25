use super::*;

fn hosts(list: &str) -> Permission {
    Permission::Hosts { secret: "crm".to_owned(), allowed: allowed_hosts(list).unwrap(), headers: HeaderMap::new() }
}

fn may(permission: &Permission, url: &str) -> bool {
    permission.headers_for(&Url::parse(url).unwrap(), "here", "the url").is_ok()
}

#[test]
fn a_host_is_allowed_with_its_port_and_by_tls_unless_it_says_otherwise() {
    let list = hosts("crm.example, CRM.example:8443\nhttp://plain.example https://tls.example:80 [::1]:9 127.0.0.1");
    for allowed in [
        "https://crm.example/people",
        "https://CRM.example:443/",
        "https://crm.example:8443/",
        "http://plain.example/",
        "https://tls.example:80/",
        "http://[::1]:9/",
        "http://127.0.0.1/",
        "https://127.0.0.1/",
    ] {
        assert!(may(&list, allowed), "{allowed}");
    }
    for refused in [
        "http://crm.example/",
        "https://crm.example:444/",
        "https://evil-crm.example/",
        "https://crm.example.evil/",
        "https://crm.example@evil.example/",
        "https://plain.example/",
        "https://tls.example/",
        "http://127.0.0.1:8080/",
        "http://user:hunter2@plain.example/",
        "ftp://crm.example/",
    ] {
        assert!(!may(&list, refused), "{refused}");
    }
}

#[test]
fn what_is_no_list_of_hosts_is_refused() {
    for list in
        ["ftp://crm.example", "crm.example/path", "a:b:c", "https://", "user@crm.example", "crm.example?x", "ö ö:x"]
    {
        assert!(allowed_hosts(list).is_err(), "{list}");
    }
    assert_eq!(allowed_hosts(" ,\n").unwrap(), []);
}

#[test]
fn without_headers_only_the_server_of_the_url_is_asked() {
    let origin = Permission::Origin(Url::parse("https://crm.example/people").unwrap());
    assert!(may(&origin, "https://crm.example:443/other?page=2"));
    for refused in ["http://crm.example/people", "https://crm.example:444/people", "https://www.crm.example/people"] {
        assert!(!may(&origin, refused), "{refused}");
    }
}

#[test]
fn a_file_is_asked_for_by_tls_where_its_link_leads_to_that_on_the_same_host() {
    let file = Permission::File(Url::parse("http://cdn.example/menu.png").unwrap(), Reach::Others);
    for allowed in ["http://cdn.example/2.png", "https://cdn.example/menu.png"] {
        assert!(may(&file, allowed), "{allowed}");
    }
    for refused in ["http://cdn.example:81/menu.png", "https://www.cdn.example/menu.png", "https://cdn.example.evil/"] {
        assert!(!may(&file, refused), "{refused}");
    }
    let secure = Permission::File(Url::parse("https://cdn.example/menu.png").unwrap(), Reach::Others);
    assert!(!may(&secure, "http://cdn.example/menu.png"));
}

#[test]
fn link_local_addresses_are_never_asked_however_they_are_written() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
    ] {
        let url = Url::parse(url).unwrap();
        let error = Permission::Origin(url.clone()).headers_for(&url, "here", "the url").unwrap_err();
        assert!(error.to_string().contains("a link-local address"), "{error}");
    }
}

#[tokio::test]
async fn names_are_looked_up_and_link_local_answers_left_out() {
    use dns::Resolve;
    let found = Names(Reach::ThisMachine).resolve("localhost".parse().unwrap()).await.unwrap();
    assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    // An address is a name that leads to itself.
    let refused =
        async |reach, name: &str| Names(reach).resolve(name.parse().unwrap()).await.err().unwrap().to_string();
    for reach in [Reach::ThisMachine, Reach::Others] {
        assert_eq!(refused(reach, "169.254.169.254").await, "the name leads to a link-local address");
    }
    for name in ["localhost", "127.0.0.9", "0.0.0.0"] {
        assert_eq!(refused(Reach::Others, name).await, "the name leads to the machine that asks", "{name}");
    }
}

#[test]
fn a_file_on_the_machine_that_asks_is_not_asked_for_unless_it_may_be_however_it_is_written() {
    for url in [
        "http://127.0.0.1:8080/healthz",
        "http://127.9.9.9/",
        "http://2130706433/",
        "http://localhost:9/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://[::]/",
    ] {
        let url = Url::parse(url).unwrap();
        let of = |reach| Permission::File(url.clone(), reach).headers_for(&url, "here", "a redirect");
        let error = of(Reach::Others).unwrap_err().to_string();
        assert!(error.contains(", the machine that asks;"), "{error}");
        assert!(of(Reach::ThisMachine).is_ok(), "{url}");
    }
}
