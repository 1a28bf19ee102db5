import type { RouterContext } from '@koa/router';
import { ProblemError } from '../../index';

const TEXTS = {
  en: {
    title: 'Too many sign-ups',
    what: (minutes: number) =>
      `There were too many sign-ups from your network, or with mail addresses like this one. Try again in ${
        minutes === 1 ? 'a minute' : `${minutes} minutes`
      }.`,
    home: 'To the first page',
  },
  ko: {
    title: '가입 신청이 너무 많습니다',
    what: (minutes: number) =>
      `같은 네트워크에서, 또는 비슷한 메일 주소로 들어온 가입 신청이 너무 많습니다. ${minutes}분 뒤에 다시 시도해 주세요.`,
    home: '첫 페이지로',
  },
};

/** 429: a page where a browser asks for one. @throws ProblemError, which is the answer to everybody else. */
export function refuseSignUp(ctx: RouterContext, seconds: number): void {
  const minutes = Math.ceil(seconds / 60);
  const headers = { 'Retry-After': String(seconds), 'Cache-Control': 'no-store' };
  if (ctx.accepts('json', 'html') !== 'html')
    throw new ProblemError(429, { title: TEXTS.en.title, detail: TEXTS.en.what(minutes), headers });
  const { title, what, home } = TEXTS[ctx.locale];
  ctx.status = 429;
  ctx.set({ ...headers, Vary: 'Accept, Accept-Language' });
  ctx.type = 'html';
  ctx.body = `<!doctype html>
<html lang="${ctx.locale}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="/home.css">
<main>
<h1>${title}</h1>
<p>${what(minutes)}</p>
<p><a href="/">${home}</a></p>
</main>
</html>
`;
}
