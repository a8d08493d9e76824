"""The scenarios by name. Each is a function of a run and the number of a world in it; what it draws, it draws from the seed
and that number, so that one world can be repeated alone."""
import collections

import answers, disks, kills, names, places, poison, stops, times, wires

# What is done in a world; what must have occurred in all of them, or the run proved nothing; what comes before them.
Scenario = collections.namedtuple("Scenario", "play holds before", defaults=(None, None))

SCENARIOS = {
    "kills": Scenario(kills.kills, kills.kills_holds),
    "places": Scenario(places.places, places.places_holds, places.places_before),
    "pauses": Scenario(stops.pauses, stops.pauses_holds),
    "disk": Scenario(disks.disk, disks.disk_holds),
    "network": Scenario(wires.network, wires.network_holds),
    "names": Scenario(names.names, names.names_holds),
    "terminate": Scenario(stops.terminate, stops.terminate_holds),
    "storms": Scenario(wires.storms),
    "ambiguous": Scenario(answers.ambiguous, answers.ambiguous_holds),
    "expiry": Scenario(answers.expiry, answers.expiry_holds),
    "partial": Scenario(answers.partial, answers.partial_holds),
    "poison": Scenario(poison.poison, poison.poison_holds),
    "revisions": Scenario(times.revisions),
    "clock": Scenario(times.clock, times.clock_holds),
}
