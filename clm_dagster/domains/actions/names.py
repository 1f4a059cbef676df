"""Names of the domain's tables, and the words of the playbook.

Belongs here: names that several modules of the domain use. Does not: anything computed.
"""

PROFILES, PLAYBOOK = "customer_profiles", "playbook"
CUSTOM_SEGMENTS, NEXT_BEST_ACTIONS = "marts.custom_segments", "marts.next_best_actions"
RESULTS, CAMPAIGN_PLANS = "marts.campaign_results", "marts.campaign_plans"
# What a playbook may do; the last one stands for a customer who is left alone.
NOTHING = "nothing"
ACTIONS = {
    "win_back_coupon": "win-back coupon",
    "reminder": "reminder",
    "replenishment": "replenishment offer",
    "cross_sell": "cross-sell offer",
    "early_access": "early access",
    "welcome_series": "welcome series",
    "review_request": "request for a review",
    "referral_ask": "request for a referral",
    NOTHING: "nothing",
}
CHANNELS = ("email", "sms", "push", "phone", "post", "onsite")
# Arms of a plan: contacted, kept out of this action, kept out of every action.
TREATED, HOLDOUT, GLOBAL_HOLDOUT = "treated", "holdout", "global_holdout"
# Where the effect of an offer comes from.
FROM_PLAYBOOK, FROM_UPLIFT = "playbook", "uplift_model"
