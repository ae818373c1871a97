//! Which pages of which table are read together.

use backstay_core::manifest::Chunk;

/// Pages of a chunk where TOAST adds nothing: 4 MiB.
const CHUNK_PAGES: u32 = 512;

/// Chooses the pages per chunk of a table: a power of two up to [`CHUNK_PAGES`], fewer where TOAST makes pages heavy, so
/// that a chunk stands for about 4 MiB of stored rows.
pub(crate) fn chunk_pages(pages: u32, main_and_toast_bytes: u64, page_bytes: u64) -> u32 {
    let main_bytes = u64::from(pages.max(1)) * page_bytes.max(1);
    let weight = main_and_toast_bytes.div_ceil(main_bytes).max(1);
    let wanted = u32::try_from(u64::from(CHUNK_PAGES) / weight).unwrap_or(1).max(1);
    // The largest power of two that is not above what is wanted.
    1 << wanted.ilog2()
}

/// Cuts a table into chunks at multiples of `chunk_pages`. The last chunk has no upper bound, because the table may
/// have grown since; a table of one chunk has neither bound.
pub(crate) fn chunks(pages: u32, chunk_pages: u32) -> impl Iterator<Item = Chunk> {
    let count = pages.div_ceil(chunk_pages).max(1);
    (0..count).map(move |index| Chunk {
        first_page: index * chunk_pages,
        end_page: (index + 1 < count).then(|| (index + 1) * chunk_pages),
        part: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunks_get_smaller_with_toast() {
        for (pages, bytes, expected) in [
            (0, 0, 512),
            (100_000, 100_000 * 8192, 512),
            (1000, 1001 * 8192, 256),
            (1000, 5000 * 8192, 64),
            (1000, 3000 * 8192, 128),
            (10, 10 * 8192 * 1000, 1),
        ] {
            assert_eq!(
                chunk_pages(pages, bytes, 8192),
                expected,
                "{pages} pages, {bytes} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn chunks_cover_every_page_once(pages in 0u32..100_000, power in 0u32..10) {
            let size = 1 << power;
            let all: Vec<Chunk> = chunks(pages, size).collect();
            let mut next = 0;
            for (index, chunk) in all.iter().enumerate() {
                prop_assert_eq!(chunk.first_page, next);
                prop_assert_eq!(chunk.first_page % size, 0);
                match chunk.end_page {
                    Some(end) => next = end,
                    None => prop_assert_eq!(index, all.len() - 1),
                }
            }
            prop_assert!(next < pages.max(1));
            prop_assert!(all.last().unwrap().end_page.is_none());
        }
    }
}
