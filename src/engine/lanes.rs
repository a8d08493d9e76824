//! Which records go out together, in what order, and what may go out at once.
//!
//! Invariant: records of one person are in one lane, in order, so that they are never in two requests at a time: two
//! requests for one parent would wait for each other's lock at the remote.

use std::collections::HashMap;

/// What packing needs to know of one record.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The record that it hangs on.
    pub person: &'a str,
    /// Records of different kinds cannot share a request.
    pub kind: u8,
    /// Larger: in a smaller batch.
    pub isolation: u32,
}

/// Batches of indexes into `loads`; the lanes run at once, the batches of a lane one after the other.
pub type Lane = Vec<Vec<usize>>;

/// Packs `loads` (oldest first) into at most `lanes_max` lanes with full batches of `batch_max`.
pub fn pack(loads: &[Load<'_>], batch_max: usize, lanes_max: usize) -> Vec<Lane> {
    let batches = loads.len().div_ceil(batch_max.max(1)).max(1);
    let lanes_wanted = batches.clamp(1, lanes_max.max(1));
    let quota = batches.div_ceil(lanes_wanted) * batch_max;
    let mut people: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, load) in loads.iter().enumerate() {
        let group = *people.entry(load.person).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(index);
    }
    let mut lanes: Vec<Vec<usize>> = vec![Vec::new(); lanes_wanted];
    let mut current = 0;
    for group in groups {
        if lanes[current].len() + group.len() > quota && current + 1 < lanes.len() {
            current += 1;
        }
        lanes[current].extend(group);
    }
    lanes.into_iter().filter(|lane| !lane.is_empty()).map(|lane| batch(loads, lane, batch_max)).collect()
}

/// Cuts one lane into batches: by isolation, then kind, each in order of age.
fn batch(loads: &[Load<'_>], mut lane: Vec<usize>, batch_max: usize) -> Lane {
    lane.sort_by_key(|&index| (loads[index].isolation, loads[index].kind, index));
    let mut batches: Lane = Vec::new();
    for index in lane {
        let load = loads[index];
        let room = match load.isolation {
            0 => batch_max,
            1 => (batch_max / 10).max(1),
            _ => 1,
        };
        match batches.last_mut() {
            Some(batch)
                if batch.len() < room
                    && batch.last().is_some_and(|&last| {
                        loads[last].kind == load.kind && loads[last].isolation == load.isolation
                    }) =>
            {
                batch.push(index);
            }
            _ => batches.push(vec![index]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_fills_its_batches() {
        let people: Vec<String> = (0..1000).map(|n| format!("003{n}")).collect();
        let loads: Vec<Load<'_>> = people.iter().map(|person| Load { person, kind: 0, isolation: 0 }).collect();
        let lanes = pack(&loads, 200, 4);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), 5);
        assert!(lanes.len() > 1);
    }

    proptest! {
        #[test]
        fn every_record_goes_once_and_a_person_stays_in_one_lane(
            input in proptest::collection::vec((0u8..20, 0u8..2, 0u32..3), 0..600),
            batch_max in 1usize..50,
            lanes_max in 1usize..6,
        ) {
            let people: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            let loads: Vec<Load<'_>> = input.iter()
                .map(|(person, kind, isolation)| Load { person: &people[*person as usize], kind: *kind, isolation: *isolation })
                .collect();
            let lanes = pack(&loads, batch_max, lanes_max);
            prop_assert!(lanes.len() <= lanes_max);
            let mut seen = HashSet::new();
            let mut home: HashMap<&str, usize> = HashMap::new();
            for (number, lane) in lanes.iter().enumerate() {
                for batch in lane {
                    prop_assert!(batch.len() <= batch_max);
                    for &index in batch {
                        prop_assert!(seen.insert(index));
                        prop_assert_eq!(loads[index].kind, loads[batch[0]].kind);
                        prop_assert_eq!(*home.entry(loads[index].person).or_insert(number), number);
                    }
                }
            }
            prop_assert_eq!(seen.len(), loads.len());
        }
    }
}
