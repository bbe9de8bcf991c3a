/*
 * tables.h
 *	  The columns of the tables that postings read and write, as in sql/.
 */
#ifndef JIFEN_TABLES_H
#define JIFEN_TABLES_H

enum
{
	Anum_program_program_id = 1,
	Anum_program_code,
	Anum_program_name,
	Anum_program_time_zone,
	Anum_program_expiry,
	Anum_program_currency,
	Anum_program_point_value,
	Anum_program_auto_open,
	Anum_program_tier_window,
	Anum_program_overdraft,
	Anum_program_overdraft_limit,
	Anum_program_return_grace,
	Anum_program_activity,
	Anum_program_notice_days,
	Anum_program_rule_no,
	Anum_program_created_at,
	Anum_program_late_postings,
	Anum_program_closed_until,
	Anum_program_booked_from,
	Natts_program = Anum_program_booked_from
};

enum
{
	Anum_account_account_id = 1,
	Anum_account_opened_at,
	Anum_account_held,
	Anum_account_debt,
	Anum_account_due_at,
	Anum_account_last_import_at,	/* from here to last_earn_at JifenTrace
									 * backwards */
	Anum_account_last_transfer_in_at,
	Anum_account_last_transfer_out_at,
	Anum_account_last_capture_at,
	Anum_account_last_hold_at,
	Anum_account_last_adjust_at,
	Anum_account_last_expire_at,
	Anum_account_last_redeem_at,
	Anum_account_last_earn_at,
	Anum_account_balance,
	Anum_account_last_seq,
	Anum_account_last_event_at,
	Anum_account_program_id,
	Anum_account_head_hash,
	Anum_account_salt,
	Anum_account_status,
	Anum_account_member,
	Natts_account = Anum_account_member
};

enum
{
	Anum_entry_account_id = 1,
	Anum_entry_seq,
	Anum_entry_amount,
	Anum_entry_held,
	Anum_entry_debt,
	Anum_entry_balance,
	Anum_entry_event_at,
	Anum_entry_posted_at,
	Anum_entry_expires_at,
	Anum_entry_available_at,
	Anum_entry_until,
	Anum_entry_issued_at,
	Anum_entry_reverses_seq,
	Anum_entry_hold_seq,
	Anum_entry_debt_seq,
	Anum_entry_counter_account_id,
	Anum_entry_counter_seq,
	Anum_entry_qualifying,
	Anum_entry_given,
	Anum_entry_rule_no,
	Anum_entry_kind,
	Anum_entry_source,
	Anum_entry_funder,
	Anum_entry_partner,
	Anum_entry_reference,
	Anum_entry_reason,
	Anum_entry_idempotency_key,
	Anum_entry_expiry,
	Anum_entry_revenue,
	Anum_entry_details,
	Anum_entry_actor,
	Anum_entry_hash,
	Natts_entry = Anum_entry_hash
};

enum
{
	Anum_lot_account_id = 1,
	Anum_lot_expires_at,
	Anum_lot_seq,
	Anum_lot_available_at,
	Anum_lot_remaining,
	Anum_lot_program_id,
	Anum_lot_rule_no,
	Anum_lot_counts_from,
	Anum_lot_expiry,
	Anum_lot_pending_until,
	Natts_lot = Anum_lot_pending_until
};

enum
{
	Anum_allocation_account_id = 1,
	Anum_allocation_seq,
	Anum_allocation_lot_seq,
	Anum_allocation_amount,
	Natts_allocation = Anum_allocation_amount
};

enum
{
	Anum_hold_account_id = 1,
	Anum_hold_seq,
	Anum_hold_until,
	Anum_hold_amount,
	Anum_hold_program_id,
	Natts_hold = Anum_hold_program_id
};

enum
{
	Anum_debt_account_id = 1,
	Anum_debt_seq,
	Anum_debt_remaining,
	Natts_debt = Anum_debt_remaining
};

enum
{
	Anum_tier_program_id = 1,
	Anum_tier_code,
	Anum_tier_name,
	Anum_tier_threshold,
	Natts_tier = Anum_tier_threshold
};

#endif							/* JIFEN_TABLES_H */
