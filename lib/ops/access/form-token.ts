import { createHmac } from 'node:crypto';
import { readBody } from '../../web/body-reader';
import type { OpsContext } from '../context';
import { refusal } from '../page/refusal';
import { sameText, type Visitor } from './session';

const FIELD = 'token';

/** What a form of this visitor's must carry. Only they can know it: their browser's secret is part of it. */
export function formToken({ secret, role }: Visitor): string {
  return createHmac('sha256', secret).update(`form of ${role}`).digest('base64url');
}

/**
 * The fields of a POST that this visitor's own page has sent.
 * @throws ProblemError 403 for one from elsewhere, 415 for another kind of body, 413.
 */
export async function readForm(ctx: OpsContext): Promise<URLSearchParams> {
  const origin = ctx.get('Origin');
  if (!URL.canParse(origin) || new URL(origin).host !== ctx.host) throw refusal(403, 'elsewhere');
  if (!ctx.is('application/x-www-form-urlencoded')) throw refusal(415, 'noForm');
  const form = new URLSearchParams((await readBody(ctx.res)).toString('utf8'));
  if (!sameText(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw refusal(403, 'stale');
  return form;
}
