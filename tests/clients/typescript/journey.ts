// A whole journey with the generated client: pay, refund, list, and one request too many.

import createClient from "openapi-fetch";
import type { Payment, PaymentPage, Problem, Refund, paths } from "./payments.js";

const WAIT_SECONDS = 60;
const { PAYMENTS_URL: baseUrl = "", PAYMENTS_TOKEN: token = "" } = process.env;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

/** An error of the service; switch on `problem.code`. */
class PaymentError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.code}: ${problem.detail ?? problem.title}`);
  }
}

/** Ask for 45,000 VND; return the payment, and whether the answer is an old one. */
async function create(order: string, key: string): Promise<[Payment, boolean]> {
  const { data, error, response } = await client.POST("/v1/payments", {
    params: { header: { "Idempotency-Key": key } },
    body: {
      amount: 45_000,
      currency: "VND",
      order_reference: order,
      return_url: "https://shop.example/thanks",
      cancel_url: "https://shop.example/cart",
    },
  });
  if (error) throw new PaymentError(error);
  return [data, response.headers.get("Idempotent-Replayed") === "true"];
}

/** Give some of it back to the account that paid. */
async function refundOf(payment: Payment, amount: number): Promise<Refund> {
  const { data, error } = await client.POST("/v1/payments/{payment_id}/refunds", {
    params: {
      path: { payment_id: payment.payment_id },
      header: { "Idempotency-Key": `refund-${payment.payment_id}-${amount}` },
    },
    body: { amount, reason: "requested_by_customer", destination: { type: "source" } },
  });
  if (error) throw new PaymentError(error);
  return data;
}

async function read(payment_id: string): Promise<Payment> {
  const { data, error } = await client.GET("/v1/payments/{payment_id}", {
    params: { path: { payment_id } },
  });
  if (error) throw new PaymentError(error);
  return data;
}

async function readRefund({ payment_id, refund_id }: Refund): Promise<Refund> {
  const { data, error } = await client.GET("/v1/payments/{payment_id}/refunds/{refund_id}", {
    params: { path: { payment_id, refund_id } },
  });
  if (error) throw new PaymentError(error);
  return data;
}

/** Follow the cursor to the end. */
async function* allPages(): AsyncGenerator<PaymentPage> {
  let cursor: string | null = null;
  do {
    const { data, error }: { data?: PaymentPage; error?: Problem } = await client.GET("/v1/payments", {
      params: { query: cursor === null ? { limit: 2 } : { limit: 2, cursor } },
    });
    if (data === undefined) throw error === undefined ? new Error("no answer") : new PaymentError(error);
    yield data;
    cursor = data.next_cursor;
  } while (cursor !== null);
}

async function waitFor<T>(look: () => Promise<T>, isThere: (seen: T) => boolean): Promise<T> {
  const deadline = Date.now() + WAIT_SECONDS * 1000;
  while (Date.now() < deadline) {
    const seen = await look();
    if (isThere(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`not within ${WAIT_SECONDS} seconds`);
}

const order = `typescript-${Date.now()}`;
const [first] = await create(order, `pay-${order}`);
const [again, replayed] = await create(order, `pay-${order}`);
await fetch(`${first.checkout_url}/pay`, { method: "POST" }); // what the payer does
const paid = await waitFor(() => read(first.payment_id), (seen) => seen.status === "paid");

const refund = await refundOf(paid, 20_000);
const settled = await waitFor(() => readRefund(refund), (seen) => seen.status !== "pending");
const problem = await refundOf(paid, 40_000).then(
  () => { throw new Error("it was not refused"); },
  (error: unknown) => { if (error instanceof PaymentError) return error.problem; throw error; },
);

for (const number of [0, 1]) await create(`${order}-${number}`, `pay-${order}-${number}`);
const pages: PaymentPage[] = [];
for await (const page of allPages()) pages.push(page);

console.log(JSON.stringify({
  payment_id: first.payment_id,
  repeated_payment_id: again.payment_id,
  replayed,
  status: paid.status,
  received: paid.amounts.received,
  refund_id: refund.refund_id,
  refund_status: settled.status,
  listed: pages.flatMap((page) => page.data.map((payment) => payment.payment_id)),
  pages: pages.length,
  problem: problem.code,
  problem_status: problem.status,
  problem_type: problem.type,
  retryable: problem.retryable,
  available: problem.available,
}));
