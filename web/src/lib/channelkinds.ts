/** channelKinds says of each kind of channel how it is called, and what its secret is. */
export const channelKinds = {
  smtp: { name: "Mail", secret: "Password", url: false },
  slack: { name: "Slack", secret: "Webhook's URL", url: false },
  teams: { name: "Microsoft Teams", secret: "Webhook's URL", url: false },
  webhook: { name: "Webhook", secret: "Signing key (whsec_…)", url: true },
  pagerduty: { name: "PagerDuty", secret: "Routing key", url: false },
} as const;
export type ChannelKind = keyof typeof channelKinds;

/** told says of each kind of notification what it is about. */
export const told: Record<string, string> = {
  requested: "A request is submitted",
  needsDecision: "A decision is required",
  decided: "A request is approved or denied",
  opened: "Access is open",
  reminder: "The time to decide a request ends soon",
  accessReview: "An access review starts, is due or ends",
  willEnd: "Access is about to end",
  ended: "Access has ended",
  failed: "Access could not be opened",
  breakGlass: "Break-glass access is used",
  alert: "An alert",
  application: "A managed application changes",
  account: "Your own sign-in (by email, to you only)",
  test: "A test",
};
