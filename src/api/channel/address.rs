//! What of a URL names an account: whoever is paced together has one name.

use http::Uri;

/// Host and port of a URL, the same for every way to write them.
pub fn host(url: &str) -> String {
    let Ok(uri) = url.parse::<Uri>() else { return url.to_owned() };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    match uri.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// The part of a URL that is the same for every message.
pub fn before_templates(url: &str) -> &str {
    ["{{", "{%", "{#"].into_iter().filter_map(|begin| url.find(begin)).min().map_or(url, |begin| &url[..begin])
}

/// Host, port and path.
pub fn host_and_path(url: &str) -> String {
    let path = url.parse::<Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    format!("{}{path}", host(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_url_names_the_same_account() {
        for same in ["https://graph.facebook.com", "https://Graph.Facebook.com/", "https://graph.facebook.com:443/x"] {
            assert_eq!(host(same), "graph.facebook.com");
        }
        assert_eq!(host("http://127.0.0.1:8091"), "127.0.0.1:8091");
        assert_eq!(host("http://[::1]:80/"), "[::1]");
    }

    #[test]
    fn the_account_of_an_endpoint_is_host_and_path_without_the_query() {
        assert_eq!(host_and_path("https://Gate.example:8443/send?key=hunter2"), "gate.example:8443/send");
    }

    #[test]
    fn a_template_and_what_follows_it_name_no_account() {
        for (url, constant) in [
            ("https://gate.example/to/{{ id }}/send", "https://gate.example/to/"),
            ("https://gate.example/{% if vars.vip %}vip{% endif %}", "https://gate.example/"),
            ("https://gate.example/send?to={{ id }}", "https://gate.example/send?to="),
            ("https://gate.example/{send}", "https://gate.example/{send}"),
        ] {
            assert_eq!(before_templates(url), constant);
        }
    }
}
