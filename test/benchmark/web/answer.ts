import type Koa from 'koa';

/** What all of them answer, as `/health` is answered. */
export const ANSWER = { status: 'ok', app: 'bench' };

export function answer(ctx: Pick<Koa.Context, 'body'>): void {
  ctx.body = ANSWER;
}
