//! Arrays of so many numbers, as they stand in a configuration.

use serde::de::{Deserialize, Deserializer, Error as _};

/// Reads an array of just `LENGTH` numbers. Serde's own reading of one passes over what stands behind these.
pub(super) fn of_length<'de, D, Number, const LENGTH: usize>(
    deserializer: D,
) -> Result<[Number; LENGTH], D::Error>
where
    D: Deserializer<'de>,
    Number: Deserialize<'de>,
{
    let numbers = Vec::deserialize(deserializer)?;
    <[Number; LENGTH]>::try_from(numbers).map_err(|numbers| {
        let found = numbers.len();
        D::Error::custom(format!("expected an array of {LENGTH} numbers, found one of {found}"))
    })
}
