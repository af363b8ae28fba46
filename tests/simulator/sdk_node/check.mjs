// Every call of the official Node SDK against the simulator; prints what it did as JSON.
import { PayOS } from "@payos/node";

const [baseURL, adminURL, payment, payout] = process.argv.slice(2);
const [clientId, apiKey, checksumKey] = payment.split(",");
const [payoutId, payoutKey, payoutChecksum] = payout.split(",");
const merchant = new PayOS({ clientId, apiKey, checksumKey, baseURL });
const treasurer = new PayOS({ clientId: payoutId, apiKey: payoutKey, checksumKey: payoutChecksum, baseURL });
const calls = {};
let number = Date.now() * 1000;

async function call(name, action, expected) {
  try {
    const result = await action();
    calls[name] = expected(result) ? "passed" : `unexpected: ${JSON.stringify(result)}`;
    return result;
  } catch (error) {
    calls[name] = `failed: ${error}`;
  }
}
const link = () => ({ orderCode: number++, amount: 2000, description: "DH1001",
  cancelUrl: "https://shop.example/cancel", returnUrl: "https://shop.example/return" });
const item = { amount: 2000, description: "hoan tien", toBin: "970422", toAccountNumber: "0123456789" };
const admin = async (path, body) =>
  (await fetch(adminURL + path, body && { method: "POST", body: JSON.stringify(body) })).json();

const made = await call("paymentRequests.create", () => merchant.paymentRequests.create(link()), (r) => r.status === "PENDING");
await admin(`/links/${made.orderCode}/pay`, { webhook: "off" });
await call("paymentRequests.get", () => merchant.paymentRequests.get(made.orderCode), (r) => r.status === "PAID");
await call("paymentRequests.get by link", () => merchant.paymentRequests.get(made.paymentLinkId), (r) => r.orderCode === made.orderCode);
const invoices = await call("invoices.get", () => merchant.paymentRequests.invoices.get({ orderCode: made.orderCode }), (r) => r.invoices.length === 1);
await call("invoices.download", () => merchant.paymentRequests.invoices.download(invoices.invoices[0].invoiceId, { orderCode: made.orderCode }), (r) => Boolean(r));
await call("webhooks.verify", async () => merchant.webhooks.verify(await admin(`/links/${made.orderCode}/webhook`)), (r) => r.orderCode === made.orderCode);
const other = await merchant.paymentRequests.create(link());
await call("paymentRequests.cancel", () => merchant.paymentRequests.cancel(other.orderCode), (r) => r.status === "CANCELLED");
const third = await merchant.paymentRequests.create(link());
await call("paymentRequests.cancel with reason", () => merchant.paymentRequests.cancel(third.orderCode, "why not"), (r) => r.cancellationReason === "why not");
const reference = `node-${number}`;
const paid = await call("payouts.create", () => treasurer.payouts.create({ referenceId: reference, category: ["refund"], ...item }), (r) => r.referenceId === reference);
await call("payouts.get", () => treasurer.payouts.get(paid.id), (r) => r.transactions[0].state === "SUCCEEDED");
await call("payouts.batch.create", () => treasurer.payouts.batch.create({ referenceId: `${reference}-b`, payouts: [1, 2].map((n) => ({ referenceId: `${reference}-${n}`, ...item })) }), (r) => r.transactions.length === 2);
await call("payouts.list", async () => { return (await treasurer.payouts.list({ limit: 50 })).data; }, (r) => r.some((payout) => payout.referenceId === reference));
await call("payouts.estimateCredit", () => treasurer.payouts.estimateCredit({ referenceId: reference, ...item }), (r) => r.estimateCredit === 2000);
await call("payoutsAccount.balance", () => treasurer.payoutsAccount.balance(), (r) => Number(r.balance) > 0);
console.log(JSON.stringify(calls));
