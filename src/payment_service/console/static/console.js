// The console: who is here, which page is shown, and the keys.

import { get, post, remove } from "./calls.js";
import { badge, byId, duration, h, id, replace, secondsBetween, table, when } from "./dom.js";
import { overviewPage } from "./overview.js";
import { paymentCard, unmatchedCard } from "./timeline.js";

const REFRESH_MS = 5000;
const TOAST_MS = 6000;
let shown = 0; // counts pages, so that a late answer does not draw over a newer one
let timer = null;

// --- who is here ---------------------------------------------------------------------------

async function enter() {
  try {
    const { name } = await get("session");
    if (name === null) return askWho();
    byId("operator").textContent = name;
    byId("door").hidden = true;
    byId("room").hidden = false;
    await route();
  } catch (fault) {
    askWho(fault.message);
  }
}

function askWho(message = "") {
  clearTimeout(timer);
  byId("replay").close();
  byId("room").hidden = true;
  byId("door").hidden = false;
  byId("door-fault").textContent = message;
  replace(byId("view"));
  byId("name").value = localStorage.getItem("payments-console-name") ?? "";
  byId(byId("name").value ? "token" : "name").focus();
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, token] = [byId("name").value, byId("token").value];
  try {
    await post("session", { name, token });
    localStorage.setItem("payments-console-name", name);
    byId("token").value = "";
    byId("door-fault").textContent = "";
    await enter();
  } catch (fault) {
    byId("door-fault").textContent = fault.message;
    byId("token").select();
  }
});

byId("sign-out").addEventListener("click", async () => {
  try {
    await remove("session");
    askWho();
  } catch (fault) {
    tell(fault);
  }
});

// --- which page is shown -------------------------------------------------------------------

async function route() {
  clearTimeout(timer);
  const page = ++shown;
  const [, name, value] = location.hash.match(/^#\/(\w*)\/?(.*)$/) ?? [];
  trouble("");
  try {
    if (name === "find" && value) await showFound(page, decodeURIComponent(value));
    else if (name === "webhook" && value) await showWebhook(page, value);
    else await showOverview(page);
  } catch (fault) {
    tell(fault);
  }
}

async function showOverview(page) {
  const parts = overviewPage({ replay: askReplay });
  const look = async () => {
    const all = await Promise.all([get("overview"), get("exceptions"), get("webhooks")]);
    if (page === shown) parts.fill(...all);
  };
  await look();
  if (page !== shown) return;
  replace(byId("view"), parts.root);
  byId("text").value = "";
  const again = async () => {
    if (page !== shown) return;
    try {
      if (!document.hidden) await look();
      trouble("");
    } catch (fault) {
      if (page === shown) tell(fault);
    }
    if (page === shown) timer = setTimeout(again, REFRESH_MS);
  };
  timer = setTimeout(again, REFRESH_MS);
}

async function showFound(page, text) {
  byId("text").value = text;
  const { histories, unmatched, now } = await get(`payments?text=${encodeURIComponent(text)}`);
  if (page !== shown) return;
  const nothing = h("p.empty", null, "Nothing is on record under ", id(text), ".");
  const cards = [...histories.map((history) => paymentCard(history, now)), unmatchedCard(unmatched)].filter(Boolean);
  replace(byId("view"), h("h1.unseen", null, `Found by ${text}`), cards.length ? cards : nothing);
  byId("view").focus({ preventScroll: true });
}

async function showWebhook(page, webhookId) {
  const { webhook, now } = await get(`webhooks/${encodeURIComponent(webhookId)}`);
  if (page !== shown) return;
  byId("text").value = "";
  const kinds = { applied: "good", dead: "bad", rejected: "bad" };
  const facts = Object.entries({
    Provider: webhook.provider, Event: webhook.event_id, Schema: webhook.schema_version, Reason: webhook.reason,
    Attempts: webhook.attempts, Received: when(webhook.received_at), Age: duration(secondsBetween(webhook.received_at, now)),
    Done: webhook.processed_at && when(webhook.processed_at),
  }).filter(([, value]) => value !== null && value !== undefined);
  replace(byId("view"), h("article.card", null,
    h("h2", null, badge(webhook.status, kinds[webhook.status] ?? "waits"), id(webhook.id)),
    h("dl.facts", null, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, typeof value === "number" ? String(value) : value)))),
    h("p.row", null, h("button.main.replay", { type: "button", onclick: () => askReplay(webhook.id) }, "Replay"),
      webhook.payment_id && h("a", { href: `#/find/${webhook.payment_id}` }, "Its payment")),
    h("h3", null, "What it said; of people nothing is shown"),
    h("pre", { tabindex: "0" }, JSON.stringify(webhook.payload, null, 2)),
    h("h3", null, "Replays"),
    table(["When", "By", "Why"], webhook.replays.map((each) => [when(each.at), each.actor, each.reason ?? ""]),
      { label: "Replays", empty: "Nobody has had it applied again." })));
  byId("view").focus({ preventScroll: true });
}

// --- the one thing that is changed ---------------------------------------------------------

function askReplay(webhookId) {
  byId("replay-id").textContent = webhookId;
  byId("note").value = byId("replay-fault").textContent = "";
  byId("replay").showModal();
  byId("note").focus();
}

byId("replay-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const webhookId = byId("replay-id").textContent;
  const button = event.submitter;
  if (button) button.disabled = true;
  try {
    await post(`webhooks/${webhookId}/replay`, { note: byId("note").value });
    byId("replay").close();
    toast(`${webhookId} will be applied again.`);
    document.activeElement?.blur();
    await route();
  } catch (fault) {
    if (fault.status === 401) tell(fault);
    else byId("replay-fault").textContent = fault.message;
  } finally {
    if (button) button.disabled = false;
  }
});
byId("replay-cancel").addEventListener("click", () => byId("replay").close());

// --- what is told, and the keys ------------------------------------------------------------

function tell(fault) {
  if (fault.status === 401) askWho("Your session is over.");
  else trouble(fault.message ?? String(fault));
}

function trouble(message) {
  byId("trouble").textContent = message;
  byId("trouble").hidden = !message;
}

function toast(message) {
  byId("toast").textContent = message;
  byId("toast").hidden = false;
  setTimeout(() => { byId("toast").hidden = true; }, TOAST_MS);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  const target = text ? `#/find/${encodeURIComponent(text)}` : "#/";
  if (location.hash === target) route();
  else location.hash = target;
});

document.addEventListener("keydown", (event) => {
  if (byId("room").hidden || byId("replay").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return document.activeElement?.blur();
  if (event.target.matches("input, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    byId("text").select();
  } else if (event.key === "o") location.hash = "#/";
});
addEventListener("hashchange", () => { if (!byId("room").hidden) route(); });

enter();
