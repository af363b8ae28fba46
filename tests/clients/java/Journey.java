import com.fasterxml.jackson.core.JsonProcessingException;
import example.payments.ApiClient;
import example.payments.ApiException;
import example.payments.ApiResponse;
import example.payments.api.PaymentsApi;
import example.payments.api.RefundsApi;
import example.payments.model.CreatePaymentRequest;
import example.payments.model.CreateRefundRequest;
import example.payments.model.Currency;
import example.payments.model.Payment;
import example.payments.model.PaymentPage;
import example.payments.model.PaymentStatus;
import example.payments.model.Problem;
import example.payments.model.Refund;
import example.payments.model.RefundDestination;
import example.payments.model.RefundReason;
import example.payments.model.RefundStatus;
import example.payments.model.SourceDestination;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A whole journey with the generated client: pay, refund, list, and one request too many. */
public final class Journey {
  private static final Duration PATIENCE = Duration.ofMinutes(1);
  private final ApiClient client = new ApiClient();
  private final PaymentsApi payments;
  private final RefundsApi refunds;

  private Journey(String url, String token) {
    // Else Java asks each plain-HTTP server for HTTP/2, and a request with a body may not ask.
    client.setHttpClientBuilder(HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1));
    client.updateBaseUri(url);
    client.setReadTimeout(Duration.ofSeconds(20));
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
    payments = new PaymentsApi(client);
    refunds = new RefundsApi(client);
  }

  public static void main(String[] arguments) throws Exception {
    var journey = new Journey(System.getenv("PAYMENTS_URL"), System.getenv("PAYMENTS_TOKEN"));
    System.out.println(journey.client.getObjectMapper().writeValueAsString(journey.go()));
  }

  private Map<String, Object> go() throws Exception {
    var order = "java-" + System.nanoTime();
    var first = create(order, "pay-" + order).getData();
    var again = create(order, "pay-" + order);
    pay(first);
    var paid = waitUntilPaid(first.getPaymentId());

    var refund = refund(paid, 20_000L);
    var settled = waitUntilSettled(refund);
    var problem = refusal(paid, 40_000L);

    for (var number = 0; number < 2; number++) {
      create(order + "-" + number, "pay-" + order + "-" + number);
    }
    var pages = allPages();

    var seen = new LinkedHashMap<String, Object>();
    seen.put("payment_id", first.getPaymentId());
    seen.put("repeated_payment_id", again.getData().getPaymentId());
    seen.put("replayed", again.getHeaders().containsKey("idempotent-replayed"));
    seen.put("status", paid.getStatus());
    seen.put("received", paid.getAmounts().getReceived());
    seen.put("refund_id", refund.getRefundId());
    seen.put("refund_status", settled.getStatus());
    seen.put("listed", pages.stream().flatMap(page -> page.getData().stream())
        .map(Payment::getPaymentId).toList());
    seen.put("pages", pages.size());
    seen.put("problem", problem.getCode());
    seen.put("problem_status", problem.getStatus());
    seen.put("problem_type", problem.getType());
    seen.put("retryable", problem.getRetryable());
    seen.put("available", problem.getAvailable());
    return seen;
  }

  /** Asks for 45,000 VND. */
  private ApiResponse<Payment> create(String order, String key) throws ApiException {
    var request = new CreatePaymentRequest()
        .amount(45_000L)
        .currency(Currency.VND)
        .orderReference(order)
        .returnUrl("https://shop.example/thanks")
        .cancelUrl("https://shop.example/cart");
    return payments.createPaymentWithHttpInfo(key, request);
  }

  /** Does what the payer does. */
  private static void pay(Payment payment) throws IOException, InterruptedException {
    var click = HttpRequest.newBuilder(URI.create(payment.getCheckoutUrl() + "/pay"))
        .POST(HttpRequest.BodyPublishers.noBody()).build();
    HttpClient.newHttpClient().send(click, HttpResponse.BodyHandlers.discarding());
  }

  private Payment waitUntilPaid(String paymentId) throws ApiException, InterruptedException {
    for (var until = System.nanoTime() + PATIENCE.toNanos(); System.nanoTime() < until;) {
      var payment = payments.getPayment(paymentId);
      if (payment.getStatus() == PaymentStatus.PAID) {
        return payment;
      }
      Thread.sleep(200);
    }
    throw new IllegalStateException("it was not paid");
  }

  /** Gives some of it back to the account that paid. */
  private Refund refund(Payment payment, Long amount) throws ApiException {
    var source = new SourceDestination().type(SourceDestination.TypeEnum.SOURCE);
    var request = new CreateRefundRequest()
        .amount(amount)
        .reason(RefundReason.REQUESTED_BY_CUSTOMER)
        .destination(new RefundDestination(source));
    var key = "refund-" + payment.getPaymentId() + "-" + amount;
    return refunds.createRefund(key, payment.getPaymentId(), request);
  }

  /** Asks for too much, and reads the problem. */
  private Problem refusal(Payment payment, Long amount) throws JsonProcessingException {
    try {
      throw new IllegalStateException("it was not refused: " + refund(payment, amount));
    } catch (ApiException error) {
      return client.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
    }
  }

  private Refund waitUntilSettled(Refund refund) throws ApiException, InterruptedException {
    for (var until = System.nanoTime() + PATIENCE.toNanos(); System.nanoTime() < until;) {
      var seen = refunds.getRefund(refund.getPaymentId(), refund.getRefundId());
      if (seen.getStatus() != RefundStatus.PENDING) {
        return seen;
      }
      Thread.sleep(200);
    }
    throw new IllegalStateException("it was not settled");
  }

  /** Follows the cursor to the end. */
  private List<PaymentPage> allPages() throws ApiException {
    var pages = new ArrayList<PaymentPage>();
    String cursor = null;
    do {
      var page = payments.listPayments(2, cursor, null, null, null, null);
      pages.add(page);
      cursor = page.getNextCursor();
    } while (cursor != null);
    return pages;
  }
}
