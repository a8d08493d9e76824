"""The judge. It stands outside the program: it knows what was written to the files, looks into the CRM by the
administrator's door and into the ledger by SQLite, and believes nothing that the program says of itself."""
import collections, json

from program import Failed
from worlds import CARD, NUMBER, TOKEN, Org, figure


def judge(world):
    """Raises unless the seven invariants hold that can be seen after a run."""
    faults = (of_org if isinstance(world, Org) else of_desk)(world)
    faults += of_ledger(world)
    faults += of_words(world)
    world.run.count("calls judged", len(world.calls))
    if faults:
        raise Failed(account(world, faults))


def figures(world, process):
    """Honest books (I8): what /metrics tells is what the ledger holds, and nobody is named in it."""
    held = collections.Counter(state for (state,) in world.read("SELECT state FROM delivery WHERE destination = ?", world.destination))
    told = figure(process.url, f'trunkline_deliveries{{destination="{world.destination}"')
    told = {name.split('state="')[1].split('"')[0]: int(number) for name, number in told.items()}
    if {state: number for state, number in told.items() if number} != held:
        raise Failed(f"I8: /metrics tells {told}, the ledger {dict(held)}")
    world.run.count("times /metrics was compared")


def fresh(world):
    """Liveness (I5): a call that comes after all that is delivered as if nothing had been."""
    world.put(1)
    world.finish()
    judge(world)


def ends_well(world):
    """The end of a world: the faults are over, the program has its runs, and then everything holds."""
    world.finish()
    judge(world)
    fresh(world)


def expected_task(world, call):
    content = call.content
    seconds = content["seconds"]
    count, unit = (seconds, "second") if seconds < 60 else (seconds // 60, "minute")
    lines = ["Voice AI Call Summary", f"Duration: {count} {unit}{'' if count == 1 else 's'}", f"Session ID: {call.name}", "",
             "Discovered Information:", f"• Use Case: {content['case']}", f"• Team Size: {content['size']}",
             f"• Pain Points: {', '.join(content['pains'])}"]
    lines += ["", "Agent Actions:", f"✓ Booked sales meeting for {world.day}" if content["booked"] else "✓ Sent product documentation"]
    return {"Subject": f"Voice AI Call - {world.day}", "ActivityDate": str(world.day), "Status": "Completed",
            "CallDurationInSeconds": seconds, "CallObject": call.name, "Description": "\n".join(lines)}


def of_org(world):
    faults, tasks = [], collections.defaultdict(list)
    for task in world.sim.door("state?object=Task")["Task"]:
        tasks[task.get("CallObject")].append(task)
    made = collections.defaultdict(list)
    if world.lead:
        for lead in world.sim.door("state?object=Lead")["Lead"]:
            made[lead.get("Email")].append(lead["Id"])
    for name in tasks.keys() - world.calls.keys():
        faults.append((name, "I2: a Task of a call that nobody had"))
    for name, call in world.calls.items():
        found, is_expected = tasks.get(name, []), world.is_expected(call)
        if len(found) != int(is_expected):
            faults.append((name, f"{'I2' if found else 'I1'}: {len(found)} Tasks, not {int(is_expected)} (caller: {call.who})"))
            continue
        if not is_expected:
            continue
        wanted = expected_task(world, call)
        people = made[call.email] if call.who == "nobody" else [world.people[call.who]]
        if len(people) != 1:
            faults.append((name, f"I2: {len(people)} Leads were made for {call.email}"))
        wanted["WhoId"] = people[0] if people else None
        for field, value in wanted.items():
            if found[0].get(field) != value:
                faults.append((name, f"I3/I4: {field} is {found[0].get(field)!r}, not {value!r}"))
        if world.key and not found[0].get("Call_Key__c"):
            faults.append((name, "I3: the Task has no key"))
    world.remote = {name: found[0]["Id"] for name, found in tasks.items()}
    return faults


def of_desk(world):
    faults, stored = [], collections.defaultdict(list)
    for payload in world.sim.door("records/calls"):
        stored[payload["transcription"]["session_id"]].append(payload)
    for name in stored.keys() - world.calls.keys():
        faults.append((name, "I2: a payload of a call that nobody had"))
    for name, call in world.calls.items():
        found = stored.get(name, [])
        if len(found) != 1:
            faults.append((name, f"{'I2' if found else 'I1'}: {len(found)} payloads, not 1"))
            continue
        payload, content = found[0], call.content
        told = {"said": [item["content"] for item in payload["transcription"]["conversation_items"]],
                "lead": payload["lead"].get("name"), "seconds": payload["callDetails"]["duration"],
                "phone": payload["caller"]["phoneNumber"]}
        for part, value in {**content, "phone": call.who}.items():
            if told[part] != value:
                faults.append((name, f"I3: {part} is {told[part]!r}, not {value!r}"))
    world.remote = None
    return faults


def of_ledger(world):
    """Honest books (I8): the ledger and what the program tells of it are what the CRM holds."""
    faults, states = [], collections.Counter()
    rows = world.read("""SELECT c.source_id, d.state, d.desired_revision, d.delivered_revision, d.remote_id, d.intent_at
                         FROM delivery d JOIN call c USING (call_key) WHERE d.destination = ?""", world.destination)
    seen = set()
    for name, state, desired, delivered, remote_id, intent_at in rows:
        call = world.calls.get(name)
        seen.add(name)
        states[state] += 1
        if call is None:
            faults.append((name, "I1: the ledger has a call that nobody had"))
            continue
        wanted = "delivered" if world.is_expected(call) else "skipped"
        if state != wanted:
            faults.append((name, f"I1/I8: the ledger says {state}, not {wanted}"))
        elif state == "delivered" and (desired != delivered or intent_at is not None):
            faults.append((name, f"I8: revision {delivered} of {desired} delivered, intent at {intent_at}"))
        elif state == "delivered" and world.remote and world.remote.get(name, "")[:15] != (remote_id or "")[:15]:
            faults.append((name, f"I8: the ledger names {remote_id}, the org {world.remote.get(name)}"))
    for name in world.calls.keys() - seen:
        faults.append((name, "I1: the ledger does not know the call"))
    process = world.start("deliveries", "--json", "--limit", "1000000")
    process.wait()
    listed = process.answer().strip()
    told = json.loads(listed) if listed.startswith("[") else [json.loads(line) for line in listed.splitlines()]
    told = collections.Counter(row["state"] for row in told if row.get("destination", world.destination) == world.destination)
    if told != states:
        faults.append(("(all)", f"I8: `deliveries --json` tells {dict(told)}, the ledger {dict(states)}"))
    return faults


def of_words(world):
    """No leak (I6): nothing of a caller and no secret in what the program logs, though it logs all it can."""
    canaries = [CARD, NUMBER, TOKEN, "sim-secret", "@example.com"]
    faults = []
    for log in world.logs.glob("*.log"):
        text = log.read_text(errors="replace")
        faults += [(log.name, f"I6: {canary!r} stands in what the program says") for canary in canaries if canary in text]
        if "panicked" in text:
            faults.append((log.name, f"a panic: {text[text.index('panicked') - 100:][:600]}"))
    return faults


def shortened(why):
    """What `trunkline why --json` tells, without what the call itself says."""
    try:
        told = json.loads(why)
    except ValueError:
        return why[:600]
    for call in told.get("calls", []):
        call.pop("call", None)
        for delivery in call.get("deliveries", []):
            delivery.pop("record", None)
    return json.dumps(told)[:2500]


def account(world, faults):
    """The shortest account of what is wrong: a few calls, with what the program and the CRM know of them."""
    lines = [f"{len(faults)} things are not as they must be:"]
    lines += [f"  {name}: {what}" for name, what in faults[:8]]
    for name in list(dict.fromkeys(name for name, _ in faults if name in world.calls))[:2]:
        lines.append(f"  why {name}: {shortened(world.why(name))}")
        if isinstance(world, Org):
            tasks = [task for task in world.sim.door("state?object=Task")["Task"] if task.get("CallObject") == name]
            lines.append(f"  the org: {json.dumps(tasks)[:1500]}")
        attempts = world.read("SELECT a.at, a.operation, a.revision, a.outcome, a.code, a.what FROM attempt a JOIN delivery d "
                              "ON d.id = a.delivery_id JOIN call c USING (call_key) WHERE c.source_id = ? ORDER BY a.id", name)
        lines += [f"  attempt {row}" for row in attempts[:12]]
    lines.append(f"  files and logs (with --keep): {world.folder}")
    return "\n".join(lines)
