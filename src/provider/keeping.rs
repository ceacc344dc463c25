//! How a provider comes to keep an attachment, so that messages name it by a handle and not by its link.

use bytes::Bytes;
use http::Request;

use super::last_piece;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::time::Span;

/// The longest media type of a foreign server that is repeated in a message.
const MAX_SHOWN_TYPE: usize = 60;

/// What servers say of a file whose type they do not know.
const SAYS_NOTHING: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

/// How a provider comes to keep an attachment whose link is the same for everybody. Asked twice it keeps two, which harms
/// nobody.
pub enum Keeping {
    /// By this request, made before the first message: it fetches the link itself.
    Request(Request<Bytes>),
    /// By a form with the file in it, posted before the first message.
    Form(FileForm),
    /// By itself: the answer to a message with the link tells the handle ([`Provider::read_handle`](super::Provider::read_handle)).
    Told,
}

/// What became of an attachment that the provider was asked to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upload {
    /// It keeps it.
    Kept(Handle),
    /// What is at the link cannot be fetched, or is none that the provider takes.
    Unusable { fault: Fault },
    /// Whatever else, as a message would be answered so.
    Failed(Outcome),
}

/// By what messages name an attachment that the provider keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    pub name: String,
    /// For so long.
    pub lives: Span,
}

/// A file that is fetched from its link and posted as `multipart/form-data` (RFC 7578).
pub struct FileForm {
    /// Where the file is: an absolute `https` or `http` URL.
    pub link: String,
    /// Where the form goes, with the credentials; they are for the provider and nobody else.
    pub request: Request<()>,
    /// The fields before the file, by name and value.
    pub fields: &'static [(&'static str, &'static str)],
    /// The field with the file's media type.
    pub type_field: &'static str,
    /// The field with the file itself; comes last.
    pub file_field: &'static str,
    /// What the provider takes there.
    pub kinds: &'static [FileKind],
}

/// A kind of file that a provider takes.
#[derive(Debug, PartialEq, Eq)]
pub struct FileKind {
    /// As the provider calls it, in small letters.
    pub media_type: &'static str,
    /// What servers call it as well.
    pub also: &'static [&'static str],
    /// How names of such files end, in small letters; the first one is the usual one.
    pub endings: &'static [&'static str],
    /// The largest file.
    pub max_bytes: u64,
}

impl FileForm {
    /// The kind that a file is of, by the header `Content-Type` of the server that gives it, or by its link where the server
    /// does not say.
    ///
    /// # Errors
    /// The provider takes no such file: the words name its type and what is taken.
    pub fn kind(&self, content_type: Option<&str>) -> Result<&'static FileKind, String> {
        let told = content_type.map(essence).filter(|told| !told.is_empty() && !SAYS_NOTHING.contains(&told.as_str()));
        let by_type = |told: &str| self.kinds.iter().find(|kind| kind.is_called(told));
        let found = match &told {
            Some(told) => by_type(told),
            None => self.kinds.iter().find(|kind| kind.name(&self.link).is_some()),
        };
        found.ok_or_else(|| {
            let taken: Vec<&str> = self.kinds.iter().map(|kind| kind.media_type).collect();
            let is = match told {
                Some(told) => {
                    let shown: String = told.chars().filter(char::is_ascii_graphic).take(MAX_SHOWN_TYPE).collect();
                    format!("it is {shown}")
                }
                None => "its server does not say what it is, nor does the end of the link".to_owned(),
            };
            format!("{is}, and one of {} is taken", taken.join(", "))
        })
    }

    /// What the file is called in the form: as in its link where that is a plain name of this kind.
    pub fn file_name(&self, kind: &FileKind) -> String {
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let usual = || format!("file.{}", kind.endings.first().unwrap_or(&"bin"));
        kind.name(&self.link).filter(is_plain).map_or_else(usual, str::to_owned)
    }

    /// The most bytes that are taken of any kind.
    pub fn max_bytes(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.max_bytes).max().unwrap_or_default()
    }
}

impl FileKind {
    fn is_called(&self, media_type: &str) -> bool {
        self.media_type == media_type || self.also.contains(&media_type)
    }

    /// The name of the file that a link leads to, where it ends as files of this kind do.
    fn name<'a>(&self, link: &'a str) -> Option<&'a str> {
        let name = last_piece(link)?;
        let (_, ending) = name.rsplit_once('.')?;
        self.endings.iter().any(|own| own.eq_ignore_ascii_case(ending)).then_some(name)
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: &[FileKind] = &[
        FileKind { media_type: "image/png", also: &[], endings: &["png"], max_bytes: 5 },
        FileKind { media_type: "image/jpeg", also: &["image/jpg"], endings: &["jpg", "jpeg"], max_bytes: 7 },
    ];

    fn form(link: &str) -> FileForm {
        FileForm {
            link: link.into(),
            request: Request::new(()),
            fields: &[],
            type_field: "type",
            file_field: "file",
            kinds: KINDS,
        }
    }

    #[test]
    fn a_file_is_of_the_kind_that_its_server_says_it_is() {
        let kind = |said| form("https://a.example/1.png").kind(said).map(|kind| kind.media_type);
        assert_eq!(kind(Some("image/jpeg; charset=binary")), Ok("image/jpeg"));
        assert_eq!(kind(Some("IMAGE/JPG")), Ok("image/jpeg"));
        let refused = kind(Some("text/html")).unwrap_err();
        assert_eq!(refused, "it is text/html, and one of image/png, image/jpeg is taken");
    }

    #[test]
    fn where_the_server_does_not_know_the_end_of_the_link_tells() {
        let kind = |link, said| form(link).kind(said).map(|kind| kind.media_type);
        assert_eq!(kind("https://a.example/x/1.JPEG?v=2.png", None), Ok("image/jpeg"));
        assert_eq!(kind("https://a.example/1.png", Some("application/octet-stream")), Ok("image/png"));
        assert_eq!(kind("https://a.example/1.png", Some("binary/octet-stream; x=1")), Ok("image/png"));
        for link in ["https://a.example/1.webp", "https://a.example/png", "https://a.png"] {
            assert!(kind(link, None).unwrap_err().contains("does not say what it is"), "{link}");
        }
    }

    #[test]
    fn a_file_keeps_its_name_where_that_is_plain() {
        let name = |link| form(link).file_name(&KINDS[1]);
        assert_eq!(name("https://a.example/menu-2.jpg?v=1"), "menu-2.jpg");
        for link in ["https://a.example/a%20b.jpg", "https://a.example/a.png", "https://a.example/"] {
            assert_eq!(name(link), "file.jpg", "{link}");
        }
        assert_eq!(form("https://a.example/").max_bytes(), 7);
    }
}
