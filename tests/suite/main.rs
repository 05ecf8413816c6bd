//! The one integration-test target: linking the batch engine once is what keeps builds bearable.

mod oracle;
