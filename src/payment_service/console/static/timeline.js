// A payment's story: everything that is on record about it, in the order in which it happened.

import { badge, duration, h, id, money, secondsBetween, table, when } from "./dom.js";

const STATUS_KINDS = {
  pending: "waits", paid: "good", partially_refunded: "good", refunded: "good", failed: "bad", expired: "bad",
};
const LATE_SECONDS = 60; // between the bank's time and ours, before it is worth a word

/** Draw one payment: the answer first, then its money, then the story. */
export function paymentCard(history, now) {
  const { payment } = history;
  return h("article.card", { "aria-label": payment.payment_id },
    h("h2", null, badge(payment.status, STATUS_KINDS[payment.status]), id(payment.payment_id)),
    h("p.answer", null, history.answer),
    h("dl.facts", null,
      fact("Order", payment.order_reference), fact("Tenant", payment.tenant_id),
      fact("Created", when(payment.created_at)), fact("Expires", when(payment.expires_at)),
      payment.next_check_at && fact("Next check", when(payment.next_check_at))),
    moneyBar(payment),
    h("h3", null, "Timeline"),
    story(history, now),
    history.refunds.length ? [h("h3", null, "Refunds"), refunds(history.refunds)] : null,
    h("h3", null, "Links"), links(history.links));
}

const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

function moneyBar(payment) {
  const { currency, amount, amount_received: received } = payment;
  const whole = Math.max(amount, received, 1);
  const parts = [
    ["asked", amount, "Asked"],
    ["received", received, "Received"],
    ["refunded", payment.amount_refunded + payment.amount_reserved, "Refunded or promised"],
  ];
  return h("div.bars", null, parts.map(([kind, value, label]) => {
    const bar = h(`span.bar.${kind}`, { "aria-hidden": "true" });
    bar.style.setProperty("--share", value / whole);
    return h("div", null, h("span", null, label), h("span.track", null, bar), h("b", null, money(value, currency)));
  }));
}

function story(history, now) {
  const entries = collect(history).sort((a, b) => a.at.localeCompare(b.at) || a.order - b.order);
  let before = null;
  const items = entries.map((entry) => {
    const gap = before === null ? 0 : secondsBetween(before, entry.at);
    before = entry.at;
    const item = h(`li.${entry.kind}`, null,
      h("div.what", null, h("strong", null, entry.title), entry.badge ?? null),
      h("div.detail", null, when(entry.at),
        gap >= 1 ? h("span.gap", null, `+ ${duration(gap)}`) : null, ...entry.details.filter(Boolean).map((text) => h("span", null, text))));
    item.style.setProperty("--gap", Math.min(28, 6 * Math.log10(1 + gap)));
    return item;
  });
  const quiet = before === null ? 0 : secondsBetween(before, now);
  return h("ol.story", null, items, h("li.now", null, h("div.detail", null, `nothing since, for ${duration(quiet)}`)));
}

function collect(history) {
  const { currency } = history.payment;
  const found = [];
  const add = (at, order, kind, title, details, mark) =>
    at && found.push({ at, order, kind, title, details, badge: mark });
  for (const link of history.links) {
    add(link.created_at, 0, "link", `Link ${link.number} made`, [`order code ${link.order_code}`, link.provider_reference]);
    add(link.closed_at, 4, "link", `Link ${link.number} closed`, []);
  }
  for (const receipt of history.receipts) {
    const delay = secondsBetween(receipt.occurred_at, receipt.recorded_at);
    add(receipt.occurred_at, 1, "money", `+ ${money(receipt.amount, receipt.currency)}`, [
      `bank reference ${receipt.bank_reference}`,
      receipt.payer_account && `from ${receipt.payer_bank_id ?? ""} ${receipt.payer_account}`,
      delay > LATE_SECONDS && `we learned of it ${duration(delay)} later`,
    ], badge(receipt.disposition, receipt.disposition === "applied" ? "good" : "waits"));
  }
  for (const change of history.changes) {
    const moved = change.from_status !== change.status;
    add(change.at, 3, "change", change.action.replace(".", " ").replaceAll("_", " "), [
      change.amount !== null && money(change.amount, currency), `by ${change.actor}`, change.reason,
      change.request_id && `request ${change.request_id}`,
    ], moved ? badge(change.status, STATUS_KINDS[change.status]) : null);
  }
  for (const question of history.exceptions) {
    add(question.raised_at, 2, "question", `Question: ${question.code.replaceAll("_", " ")}`,
      [money(question.amount, currency), question.exception_id],
      question.resolved_at ? null : badge("open", "waits"));
    add(question.resolved_at, 5, "question", `Decided: ${question.resolution}`, [question.exception_id]);
  }
  for (const webhook of history.webhooks) {
    add(webhook.received_at, 1, "webhook", "Webhook that is not applied", [webhook.webhook_id, webhook.reason],
      badge(webhook.status, webhook.status === "dead" ? "bad" : "waits"));
  }
  for (const replay of history.replays) {
    add(replay.at, 5, "webhook", "Webhook replayed", [replay.webhook_id, `by ${replay.actor}`, replay.reason]);
  }
  return found;
}

const refunds = (rows) => table(["Refund", "Amount", "Status", "To", "Payout"], rows.map((refund) => [
  id(refund.refund_id), money(refund.amount, refund.currency),
  h("span", null, badge(refund.status, { succeeded: "good", failed: "bad" }[refund.status] ?? "waits"),
    refund.because ? ` ${refund.because.replaceAll("_", " ")}` : ""),
  `${refund.bank_bin} ${refund.account}`, id(refund.payout),
]), { label: "Refunds", empty: "None." });

const links = (rows) => table(["Link", "Order code", "Transfer text", "At the provider", "State"], rows.map((link) => [
  String(link.number), id(String(link.order_code)), link.transfer_text, id(link.provider_reference ?? "not known"), link.state,
]), { label: "Links", empty: "None: the provider was not asked, or did not answer." });

/** Money that reached no payment of ours. */
export function unmatchedCard(receipts) {
  if (!receipts.length) return null;
  return h("article.card", null, h("h2", null, "Money without a payment of ours"),
    table(["Transfer", "Amount", "When", "Bank reference", "Order code", "From"], receipts.map((receipt) => [
      id(receipt.receipt_id), money(receipt.amount, receipt.currency), when(receipt.occurred_at),
      receipt.bank_reference, id(String(receipt.order_code)), receipt.payer_account ?? "",
    ]), { label: "Money without a payment", empty: "" }));
}
