import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Locale } from '../core/config';
import type { ProblemError } from './problem';

/** Title and explanation, by status or by class of status. */
type Words = Readonly<Record<number | '4xx' | '5xx', readonly [title: string, what: string]>> & {
  readonly home: string;
  readonly request: string;
};

const WORDS: Readonly<Record<Locale, Words>> = {
  en: {
    401: ['Please sign in', 'This page is shown to those who have signed in.'],
    403: ['This is not open to you', 'Your account may not see this page.'],
    404: ['There is nothing here', 'No page has this address; what it showed may be gone.'],
    405: ['That cannot be done here', 'This address takes no such request.'],
    413: ['That was too much at once', 'Send less, or in parts.'],
    503: ['Too busy at the moment', 'Try again in a few seconds.'],
    '4xx': ['That was not understood', 'The request is not one that this page takes.'],
    '5xx': ['Something went wrong', 'The fault is ours. The log has the details, under the number below.'],
    home: 'First page',
    request: 'Request',
  },
  ko: {
    401: ['로그인이 필요합니다', '로그인한 사람에게만 보이는 페이지입니다.'],
    403: ['볼 수 없는 페이지입니다', '이 페이지를 볼 권한이 없습니다.'],
    404: ['여기에는 아무것도 없습니다', '이 주소의 페이지가 없습니다. 보여 주던 것이 사라졌을 수 있습니다.'],
    405: ['여기서는 할 수 없습니다', '이 주소는 그런 요청을 받지 않습니다.'],
    413: ['한 번에 너무 많습니다', '더 적게, 또는 나누어 보내 주세요.'],
    503: ['지금은 요청이 너무 많습니다', '몇 초 뒤에 다시 시도해 주세요.'],
    '4xx': ['요청을 이해하지 못했습니다', '이 페이지가 받는 요청이 아닙니다.'],
    '5xx': ['문제가 생겼습니다', '서버에서 생긴 문제입니다. 아래 번호로 로그에서 자세한 내용을 찾을 수 있습니다.'],
    home: '첫 페이지',
    request: '요청',
  },
};

const STYLE = `:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-content:center;justify-items:start;gap:12px;padding:24px;box-sizing:border-box;color:light-dark(#17181b,#ececee);background:light-dark(#f6f6f4,#0d0e10);font:400 1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Apple SD Gothic Neo","Noto Sans KR","Malgun Gothic",sans-serif;overflow-wrap:anywhere}:lang(ko){word-break:keep-all}h1,p,ul{margin:0;max-width:36rem}h1{font-size:1.375rem;line-height:1.25}a{display:inline-flex;align-items:center;min-height:44px;color:light-dark(#2257b8,#8cb4ff)}small{color:light-dark(#565961,#a2a6ae);font-variant-numeric:tabular-nums}`;

/** The page loads no other file, so it works whatever the app serves; its style is allowed by its digest. */
export const PROBLEM_PAGE_POLICY = `default-src 'none';base-uri 'none';frame-ancestors 'none';style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;

/** A problem as an HTML page. Title and detail of the app's own routes are shown as they are. */
export function problemPage({ status, options }: ProblemError, locale: Locale, requestId: string): string {
  const words = WORDS[locale];
  const [usual, what] = words[status] ?? words[status < 500 ? '4xx' : '5xx'];
  const { title = usual, detail, errors = [] } = options;
  // The framework's own details are in English.
  const shown = detail === undefined || (locale !== 'en' && words[status]) ? what : detail;
  const list = errors.map((part) => `<li>${escaped(`${part.pointer} ${part.detail}`)}</li>`).join('');
  return `<!doctype html>
<html lang="${locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p>${escaped(shown)}</p>
${list && `<ul>${list}</ul>\n`}<p><small>${status} ${STATUS_CODES[status] ?? ''} · ${words.request} ${escaped(requestId)}</small></p>
<a href="/">${words.home}</a>
</body>
</html>
`;
}

function escaped(text: string): string {
  const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (sign) => signs[sign] ?? sign);
}
