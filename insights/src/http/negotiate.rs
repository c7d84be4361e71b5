//! Which of the offered media types a client takes.
//!
//! Owns the reading of `Accept`. A client that names none takes the first.

use axum::http::{HeaderMap, header};

use super::problem::Problem;

/// The offer that the client likes best, the first of equals.
pub(super) fn choose(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str, Problem> {
    let lines: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok()).collect();
    let accept = lines.join(",");
    if accept.trim().is_empty() {
        return offers.first().copied().ok_or_else(|| Problem::not_acceptable(offers));
    }
    let mut best: Option<(&'static str, f32)> = None;
    for offer in offers {
        let quality = quality(&accept, offer);
        if quality > best.map_or(0.0, |(_, quality)| quality) {
            best = Some((offer, quality));
        }
    }
    best.map(|(offer, _)| offer).ok_or_else(|| Problem::not_acceptable(offers))
}

/// How much the client likes a media type: the most specific range that fits says it; 0 when none does.
fn quality(accept: &str, offer: &str) -> f32 {
    let (kind, _) = offer.split_once('/').unwrap_or((offer, ""));
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let fits = if name == offer {
            3
        } else if name.strip_suffix("/*") == Some(kind) {
            2
        } else if name == "*/*" {
            1
        } else {
            continue;
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
        if fits > best.0 {
            best = (fits, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_gets_what_it_likes_best() {
        let offers = &["application/json", "text/csv"];
        for (accept, chosen) in [
            ("", Some("application/json")),
            ("*/*", Some("application/json")),
            ("text/csv", Some("text/csv")),
            ("TEXT/CSV; charset=utf-8", Some("text/csv")),
            ("text/*;q=0.5, application/json;q=0.4", Some("text/csv")),
            ("*/*, application/json;q=0", Some("text/csv")),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some("application/json")),
            ("text/html", None),
            ("text/csv;q=0", None),
            ("text/csv;q=nan", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(choose(&headers, offers).ok(), chosen, "{accept}");
        }
    }
}
