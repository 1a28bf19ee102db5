/** What people and attackers enter at sign-up: for the checks themselves, the sample app and each generated app. */

const LONGEST_DOMAIN = `${`${'b'.repeat(61)}.`.repeat(3)}com`;

export const GOOD_EMAILS: readonly string[] = [
  'a@b.co',
  ' Ada@Example.COM ',
  "o'neil+tag=1/2@sub-domain.example.museum",
  'x@xn--9t4b11yi5a.xn--3e0b707e',
  '+@b.co',
  `${'a'.repeat(64)}@${LONGEST_DOMAIN}`,
];

export const BAD_EMAILS: readonly unknown[] = [
  ...[undefined, null, 1, '', ' ', [], ['a@b.co'], {}, 'plain', '@', '@b.co', 'a@', 'a@b', 'a@b.', 'a b@c.co'],
  ...['.a@b.co', 'a.@b.co', 'a..a@b.co', 'a@b..co', 'a@-b.co', 'a@b-.co', 'a@b_c.co', 'a@b.c1.2', 'a@b@c.co'],
  ...['a@127.0.0.1', 'a@[127.0.0.1]', '"a b"@c.co', 'a@b.co\r\nBcc: x@y.z', 'a@b.co\nx', 'a@b.co,c@d.co'],
  ...['a,b@c.co', 'a;b@c.co', 'a@b.co c@d.co', 'A <a@b.co>', 'é@b.co', 'a@bücher.de', 'a@b。co', 'a@b．co'],
  ...['a\0@b.co', 'a@b\0.co', 'a@b.co\ud800', 'a@b.co\u202e', 'a\u200b@b.co', 'a@ex%61mple.com', 'mailto:a@b.co'],
  ...[`${'a'.repeat(65)}@b.co`, `a@${'b'.repeat(64)}.co`, `aa${'a'.repeat(62)}@${LONGEST_DOMAIN}m`],
  ...[`a@${'.'.repeat(99_000)} x`, `${'a.'.repeat(40_000)}@b.co`, `a@${'b.'.repeat(40_000)}`, '@'.repeat(90_000)],
];

/** Addresses that reach one mailbox. */
export const ONE_MAILBOX = (n: number): string => `${n % 2 ? 'victim' : 'Victim'}+${n}@company.example`;
export const ONE_GMAIL = (n: number): string =>
  `${'victim'.slice(0, n % 6)}.${'victim'.slice(n % 6)}${n % 2 ? `+${n}` : ''}@${n % 3 ? 'gmail' : 'GoogleMail'}.com`.replace(
    /^\./,
    '',
  );

export const GOOD_NAMES: readonly string[] = [
  ...["Conan O'Neil", 'D’Angelo', 'José', 'Jose\u0301 Núñez', 'Zoë', 'Øyvind', 'Łukasz', 'Ştefan', 'Nguyễn Văn An'],
  ...['李小龍', '김하늘', '홍길동', '山田 太郎', 'ジョン・スミス'],
  ...['Мария Ивановна', 'Αθηνά', 'علی‌رضا', 'מרים', 'देवनागरी'],
  ...['Dr. J. Smith Jr.', 'Dr. A. Müller', 'J.R.R. Tolkien', 'J.R.R.Tolkien', 'M.K.Stalin', "J.O'Neil", 'St.John'],
  ...['St. John-Smythe', 'Ma.Teresa Cruz', 'Ph.D. Ada', 'Ada Byron, B.Sc.', 'van der Berg', 'Gustav K:son', 'Gal·la'],
  ...['Jean-Luc', 'A/B', 'X Æ A-12', 'Ada 3.0', 'Mary (Molly) Brown', 'Ada & Bob', 'Ada "the" Great', 'Number 6', '李'],
  ...['<b>"&\' %s {{y}} <%= z %>', '👩‍👩‍👧'.repeat(16), '😀'.repeat(80), 'x'.repeat(80), '李小龍。', 'Ada …'],
];

export const BAD_NAMES: readonly unknown[] = [
  ...['', '   ', '\u200b', '\u3164', 5, [], ['Ada'], {}, true, 'x'.repeat(81), '😀'.repeat(81), 'x '.repeat(45_000)],
  ...['a\0b', 'a\nb', 'a\rb', 'a\tb', 'a\u2028b', 'a\u2029b', '\ud83d', 'a\udc00', 'Ada\r\nBcc: x@y.z', 'a\x1b[2Jb'],
  ...['\u202egnp', 'a\u2066b', 'a\u200eb', 'a\u061cb'],
  ...['renew at https://evil.example/pay now', 'ftp://evil', 'http://3232235777', 'www.evil', 'Ada evil.example/pay'],
  ...['renew at evil-bank.com today', 'Evil-Bank.Com', 'EVIL.COM', 'x.evil.co'],
  ...['a.b.com', 'Abc.xyz', 'evil.com.', 'pay.me'],
  ...['evil。com', 'evil．com', 'evil｡com', 'evil﹒com'],
  ...['evil․com', 'ｅｖｉｌ．ｃｏｍ', 'evil\u200b.com', 'e\u00advil.c\u2060om'],
  ...'банк.рф 银行.公司 बैंक.भारत 💩.la evil.xn--p1ai evil.com:8080 x.Com/pay St.Com/pay evil_bank.io'.split(' '),
  ...['ada@evil.example', 'pay ada@evil', 'ada＠evil', '127.0.0.1'],
  ...['go to 10.0.0.1:80', '１２７．０．０．１', '2001:db8::1', '::1'],
];
