interface SignUps {
  /** Addresses whose sign-up was answered 201. */
  readonly accepted: Iterable<string>;
  /** Addresses whose sign-up got no response: it may or may not have been committed. */
  readonly unsure: Iterable<string>;
  /** Addresses that got a welcome. */
  readonly received: ReadonlySet<string>;
}

type Query = (
  sql: string,
) => Promise<readonly { readonly email: string; readonly deliveries: number; readonly sent: number }[]>;

/** One sentence for each sign-up that has not brought one user, one delivery record and a mail. */
export async function lostWelcomes(query: Query, { accepted, unsure, received }: SignUps): Promise<string[]> {
  const rows = await query(
    `select email, count(key)::int as deliveries, count(*) filter (where state = 'sent')::int as sent
     from users left join mail_deliveries on recipients = array[email] group by email`,
  );
  const users = new Set(rows.map(({ email }) => email));
  const known = new Set([...accepted, ...unsure]);
  const each = (emails: Iterable<string>, isThere: (email: string) => boolean, what: string) =>
    [...emails].filter((email) => !isThere(email)).map((email) => `${email} ${what}`);
  return [
    ...each(accepted, (email) => users.has(email), 'was answered 201, but is not in the database'),
    ...each(users, (email) => known.has(email), 'is in the database, but did not sign up'),
    ...each(users, (email) => received.has(email), 'got no mail'),
    ...each(received, (email) => users.has(email), 'got a mail, but is not in the database'),
    ...rows
      .filter(({ deliveries, sent }) => deliveries !== 1 || sent !== 1)
      .map((row) => `${row.email} has ${row.deliveries} delivery records, ${row.sent} of which say sent`),
  ];
}
