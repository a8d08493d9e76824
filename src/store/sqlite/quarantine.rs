//! What a person says about files that could not be understood.

use async_trait::async_trait;

use super::{SqliteStore, hands};
use crate::store::{QuarantineStore, StoreError};

#[async_trait]
impl QuarantineStore for SqliteStore {
    async fn dismiss(&self, urls: &[String]) -> Result<usize, StoreError> {
        let urls = urls.to_vec();
        self.write("dismiss", move |connection| {
            let mut statement =
                connection.prepare_cached("UPDATE raw SET state = 'gone' WHERE url = ?1 AND state = 'quarantined'")?;
            let mut dismissed = 0;
            for url in &urls {
                dismissed += statement.execute([url])?;
                hands::forget_deaths(connection, url)?;
            }
            Ok(dismissed)
        })
        .await
    }

    async fn forget_deaths(&self, url: &str) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.write("dismiss", move |connection| hands::forget_deaths(connection, &url)).await
    }
}
