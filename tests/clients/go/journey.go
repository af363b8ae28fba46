// A whole journey with the generated client: pay, refund, list, and one request too many.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"payments.example/client/payments"
)

const patience = 2 * time.Minute

// Shop is a merchant service that uses the client.
type Shop struct {
	client *payments.ClientWithResponses
}

// Error is an error of the service; switch on its Code.
type Error struct{ payments.Problem }

func (e *Error) Error() string { return e.Code + ": " + e.Title }

// problem reads the body of any response that is not the expected one.
func problem(body []byte) error {
	var found Error
	if err := json.Unmarshal(body, &found.Problem); err != nil {
		return err
	}
	return &found
}

func newShop(url, token string) (*Shop, error) {
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	client, err := payments.NewClientWithResponses(url,
		payments.WithHTTPClient(&http.Client{Timeout: 20 * time.Second}),
		payments.WithRequestEditorFn(authorize))
	return &Shop{client}, err
}

// create asks for 45,000 VND; it tells whether the answer is an old one.
func (s *Shop) create(ctx context.Context, order, key string) (*payments.Payment, bool, error) {
	response, err := s.client.CreatePaymentWithResponse(ctx,
		&payments.CreatePaymentParams{IdempotencyKey: key},
		payments.CreatePaymentRequest{
			Amount:         45_000,
			Currency:       payments.CurrencyVND,
			OrderReference: order,
			ReturnURL:      "https://shop.example/thanks",
			CancelURL:      "https://shop.example/cart",
		})
	if err != nil {
		return nil, false, err
	}
	if response.JSON201 == nil {
		return nil, false, problem(response.Body)
	}
	replayed := response.Headers201.IdempotentReplayed
	return response.JSON201, replayed != nil && *replayed, nil
}

func (s *Shop) waitUntilPaid(ctx context.Context, id payments.PaymentID) (*payments.Payment, error) {
	for ; ; time.Sleep(200 * time.Millisecond) {
		response, err := s.client.GetPaymentWithResponse(ctx, id)
		if err != nil {
			return nil, err
		}
		if response.JSON200 == nil {
			return nil, problem(response.Body)
		}
		if response.JSON200.Status == payments.PaymentStatusPaid {
			return response.JSON200, nil
		}
	}
}

// refund gives some of it back to the account that paid.
func (s *Shop) refund(ctx context.Context, id payments.PaymentID, amount int64) (*payments.Refund, error) {
	var destination payments.RefundDestination
	source := payments.SourceDestination{Type: payments.SourceDestinationTypeSource}
	if err := destination.FromSourceDestination(source); err != nil {
		return nil, err
	}
	response, err := s.client.CreateRefundWithResponse(ctx, id,
		&payments.CreateRefundParams{IdempotencyKey: fmt.Sprintf("refund-%s-%d", id, amount)},
		payments.CreateRefundRequest{
			Amount:      amount,
			Reason:      payments.RefundReasonRequestedByCustomer,
			Destination: destination,
		})
	if err != nil {
		return nil, err
	}
	if response.JSON201 == nil {
		return nil, problem(response.Body)
	}
	return response.JSON201, nil
}

func (s *Shop) waitUntilSettled(ctx context.Context, refund *payments.Refund) (*payments.Refund, error) {
	for ; ; time.Sleep(200 * time.Millisecond) {
		response, err := s.client.GetRefundWithResponse(ctx, refund.PaymentID, refund.RefundID)
		if err != nil {
			return nil, err
		}
		if response.JSON200 == nil {
			return nil, problem(response.Body)
		}
		if response.JSON200.Status != payments.RefundStatusPending {
			return response.JSON200, nil
		}
	}
}

// allPages follows the cursor to the end.
func (s *Shop) allPages(ctx context.Context) (listed []payments.PaymentID, pages int, err error) {
	limit := payments.Limit(2)
	params := &payments.ListPaymentsParams{Limit: &limit}
	for {
		response, err := s.client.ListPaymentsWithResponse(ctx, params)
		if err != nil {
			return nil, 0, err
		}
		if response.JSON200 == nil {
			return nil, 0, problem(response.Body)
		}
		pages++
		for _, payment := range response.JSON200.Data {
			listed = append(listed, payment.PaymentID)
		}
		if params.Cursor = response.JSON200.NextCursor; params.Cursor == nil {
			return listed, pages, nil
		}
	}
}

func journey(ctx context.Context, shop *Shop) (map[string]any, error) {
	order := fmt.Sprintf("go-%d", time.Now().UnixNano())
	first, _, err := shop.create(ctx, order, "pay-"+order)
	if err != nil {
		return nil, err
	}
	again, replayed, err := shop.create(ctx, order, "pay-"+order)
	if err != nil {
		return nil, err
	}
	page, err := http.Post(*first.CheckoutURL+"/pay", "", nil) // what the payer does
	if err != nil {
		return nil, err
	}
	defer page.Body.Close()
	paid, err := shop.waitUntilPaid(ctx, first.PaymentID)
	if err != nil {
		return nil, err
	}

	refund, err := shop.refund(ctx, paid.PaymentID, 20_000)
	if err != nil {
		return nil, err
	}
	settled, err := shop.waitUntilSettled(ctx, refund)
	if err != nil {
		return nil, err
	}
	_, err = shop.refund(ctx, paid.PaymentID, 40_000)
	refused, ok := err.(*Error)
	if !ok {
		return nil, fmt.Errorf("it was not refused: %w", err)
	}

	for number := range 2 {
		name := fmt.Sprintf("%s-%d", order, number)
		if _, _, err := shop.create(ctx, name, "pay-"+name); err != nil {
			return nil, err
		}
	}
	listed, pages, err := shop.allPages(ctx)
	return map[string]any{
		"payment_id":          first.PaymentID,
		"repeated_payment_id": again.PaymentID,
		"replayed":            replayed,
		"status":              paid.Status,
		"received":            paid.Amounts.Received,
		"refund_id":           refund.RefundID,
		"refund_status":       settled.Status,
		"listed":              listed,
		"pages":               pages,
		"problem":             refused.Code,
		"problem_status":      refused.Status,
		"problem_type":        refused.Type,
		"retryable":           refused.Retryable,
		"available":           refused.Available,
	}, err
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	shop, err := newShop(os.Getenv("PAYMENTS_URL"), os.Getenv("PAYMENTS_TOKEN"))
	if err == nil {
		var seen map[string]any
		if seen, err = journey(ctx, shop); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(seen)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
