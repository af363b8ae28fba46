// What waits, at a glance. A tile asks for a look where an alert would fire: by the same limits.

import { badge, duration, h, id, instant, money, number, replace, secondsBetween, table, when } from "./dom.js";

const MINUTE = 60, HOUR = 3600, DAY = 86400;
// Name, key, age in seconds from which it is too much, section of the runbook, what it is.
const TILES = [
  ["Outbox", "outbox", MINUTE, "OutboxStuck", "messages wait for Kafka"],
  ["Refused messages", "refused", 0, "OutboxMessageRefused", "Kafka will never take them"],
  ["Webhooks", "webhooks", 2 * MINUTE, "WebhooksNotApplied", "stored, not applied yet"],
  ["Dead letters", "dead", 0, "WebhooksDead", "given up, wait for you"],
  ["Money questions", "exceptions", DAY, "MoneyExceptionsAgeing", "wait for a decision"],
  ["Refunds", "refunds", 4 * HOUR, "RefundsNotPaidOut", "not paid out yet"],
];
const AGES = [
  ["Unanswered creations", "unfinished", 10 * MINUTE, "CreationsNotFinished"],
  ["Unchecked payments", "unlooked_at", 30 * MINUTE, "PaymentsNotLookedAt"],
];
const DUE_MAX = 100;

const MEANINGS = {
  underpaid: "Less came than was asked.",
  overpaid: "More came than was asked.",
  duplicate_transfer: "Money came for a payment that was paid already.",
  late: "Money came after the payment was closed.",
  provider_mismatch: "The provider's report contradicts ours: reconcile the payment first.",
  refund_returned: "The bank sent a refund back.",
  unmatched: "Money came for no payment of ours: apply it to the right one.",
};
const ACTIONS = {
  refund: ["--refund source", "give it back to the account that paid"],
  apply: ["--apply PAYMENT_ID", "move it to another payment"],
  keep: ["--keep", "leave it where it is"],
};

/** Draw everything; returns the parts that `refresh` fills. */
export function overviewPage(actions) {
  const parts = { tiles: h("section.tiles", { "aria-label": "What waits" }) };
  for (const part of ["questions", "letters", "jobs", "own"]) parts[part] = h(`div.${part}`, null);
  parts.root = h("div", null,
    h("h1.unseen", null, "Overview"), parts.tiles,
    h("section", { id: "questions" }, h("h2", null, "Money that waits for a decision"), parts.questions),
    h("section", { id: "dead-letters" }, h("h2", null, "Dead letters"), parts.letters),
    h("div.two", null,
      h("section", null, h("h2", null, "Jobs that are due"), parts.jobs),
      h("section", null, h("h2", null, "This process"), parts.own)));
  parts.fill = (overview, questions, letters) => {
    replace(parts.tiles, tiles(overview));
    fillUnlessInUse(parts.questions, questionTable(questions));
    fillUnlessInUse(parts.letters, letterTable(letters, actions));
    replace(parts.jobs, jobTable(overview));
    replace(parts.own, ownState(overview));
  };
  return parts;
}

/** A table that somebody is in with the keyboard, or has opened something in, is left alone. */
function fillUnlessInUse(place, content) {
  if (!place.contains(document.activeElement) && !place.querySelector("details[open]")) replace(place, content);
}

function tiles(overview) {
  const counted = TILES.map(([name, key, limit, runbook, about]) => {
    const { count, since } = overview[key];
    const age = since ? secondsBetween(since, overview.now) : 0;
    const isBad = count > 0 && age >= limit;
    return tile(name, number(count), count === 0 ? "nothing" : about, age && `oldest ${duration(age)}`, isBad, count > 0, runbook);
  });
  const aged = AGES.map(([name, key, limit, runbook]) => {
    const age = overview[key] ? secondsBetween(overview[key], overview.now) : 0;
    return tile(name, age ? duration(age) : "none", age ? "the oldest" : "nothing waits", null, age >= limit, age > 0, runbook);
  });
  return [...counted, ...aged];
}

const tile = (name, value, about, age, isBad, isBusy, runbook) =>
  h(`div.tile.${isBad ? "bad" : isBusy ? "busy" : "calm"}`, null,
    h("h3", null, name), h("b", null, value), h("span", null, about), age ? h("span", null, age) : null,
    isBad ? h("span.runbook", null, `runbook: ${runbook}`) : null);

function questionTable({ exceptions, now }) {
  return table(["Since", "Question", "Amount", "Payment", "What can be done"], exceptions.map((each) => [
    h("span", null, when(each.raised_at), h("small", null, `${duration(secondsBetween(each.raised_at, now))} ago`)),
    h("span", null, badge(each.code, "waits"), h("small", null, MEANINGS[each.code] ?? "")),
    h("span", null, money(each.amount), h("small", null, `${number(each.amount_available)} available`)),
    each.payment_id
      ? h("span", null, h("a", { href: `#/find/${each.payment_id}` }, id(each.payment_id)), h("small", null, each.order_reference))
      : h("span", null, "none", h("small", null, `bank reference ${each.bank_reference}`)),
    ways(each),
  ]), { label: "Money exceptions", empty: "Nothing. All money is where it belongs." });
}

function ways(each) {
  const allowed = each.allowed_actions ? each.allowed_actions.split(",") : [];
  if (!allowed.length) return h("span", null, "Wait: the payer may still complete it.");
  return h("details", null, h("summary", null, allowed.join(", ")),
    allowed.map((action) => h("p", null, h("small", null, ACTIONS[action][1]),
      h("code.command", null, `payment-service exceptions resolve ${each.exception_id} ${ACTIONS[action][0]} --reason "..." --actor YOU`))));
}

function letterTable({ webhooks, now }, actions) {
  return table(["Received", "Webhook", "Reason", "Payment", ""], webhooks.map((each) => [
    h("span", null, when(each.received_at), h("small", null, `${duration(secondsBetween(each.received_at, now))} ago, ${each.attempts} tries`)),
    h("a", { href: `#/webhook/${each.id}` }, id(each.id)),
    each.reason ?? "",
    each.payment_id ? h("a", { href: `#/find/${each.payment_id}` }, id(each.payment_id)) : "not known",
    h("button.replay", { type: "button", onclick: () => actions.replay(each.id), "aria-label": `Replay ${each.id}` }, "Replay"),
  ]), { label: "Dead letters", empty: "None. Every webhook was applied, or waits its turn." });
}

function jobTable({ jobs, completed, now }) {
  return table(["Job", "Due", "Last through"], jobs.map(({ name, due }) => [
    name, due >= DUE_MAX ? `${DUE_MAX} or more` : number(due),
    completed[name] ? `${duration(new Date(now) / 1000 - completed[name])} ago` : "elsewhere",
  ]), { label: "Jobs", empty: "", kind: "compact" });
}

function ownState({ process, breakers, lag, now }) {
  const topics = lag.map((each) => [each.topic, each.partition, number(each.messages)]);
  const open = breakers.filter(({ state }) => state !== "closed");
  return [
    h("dl.facts", null,
      h("div", null, h("dt", null, "Roles"), h("dd", null, process.roles.join(", "))),
      h("div", null, h("dt", null, "Version"), h("dd", null, process.version)),
      h("div", null, h("dt", null, "Looked at"), h("dd", null, instant(now)))),
    h("p", null, "Calls to the provider: ", open.length
      ? open.map(({ operation, state }) => badge(`${operation} ${state}`, "bad"))
      : badge("let out", "good")),
    process.roles.includes("consumer")
      ? table(["Topic", "Partition", "Lag"], topics, { label: "Lag", empty: "This consumer has no partition.", kind: "compact" })
      : h("p.quiet", null, "Lag is told by the consumers' own consoles."),
  ];
}
