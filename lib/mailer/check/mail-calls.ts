/** What is skipped as a whole, words, and single characters. */
const TOKENS =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\[\s\S]|[^`\\])*`|\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/|\.\.\.|[\w$]+|[^\s\w$]/y;
/** After these a slash divides; after other words and characters it begins a regular expression. */
const VALUE = /^(?:(?!(?:return|typeof|case|in|of|void|delete|await|yield|else)$)[\w$]+|\)|\]|["'`].*)$/s;
const CALL = ['this', '.', 'mail', '(', '{'];

/**
 * Finds the calls `this.mail({ … })` in the source of an action.
 * @returns the names of the options of each; none for a call whose options are known only at run time, or a source that cannot
 * be read with certainty.
 */
export function mailCalls(source: string): readonly ReadonlySet<string>[] {
  const tokens = tokensOf(source);
  return tokens.flatMap((_, start) => {
    if (!CALL.every((token, index) => tokens[start + index] === token)) return [];
    const names = optionNames(tokens, start + CALL.length);
    return names === undefined ? [] : [names];
  });
}

/** @returns undefined unless each option of the object that begins here has a name of its own, and nothing follows it. */
function optionNames(tokens: readonly string[], from: number): ReadonlySet<string> | undefined {
  const names = new Set<string>();
  let depth = 0;
  for (let at = from; at < tokens.length; at += 1) {
    const token = tokens[at] ?? '';
    if (depth === 0 && token === '}') return tokens[at + 1] === ')' ? names : undefined;
    if (depth === 0 && (at === from || tokens[at - 1] === ',')) {
      if (token === '...' || token === '[') return undefined;
      names.add(token.replace(/^(["'])(.*)\1$/, '$2'));
    }
    if ('{[('.includes(token)) depth += 1;
    if ('}])'.includes(token)) depth -= 1;
  }
  return undefined;
}

function tokensOf(source: string): readonly string[] {
  const tokens: string[] = [];
  TOKENS.lastIndex = 0;
  for (let at = 0; at < source.length; ) {
    TOKENS.lastIndex = at;
    const [token = source[at] ?? ''] = TOKENS.exec(source) ?? [];
    const isComment = /^\/[/*]/.test(token);
    const divides = token.startsWith('/') && !isComment && VALUE.test(tokens.at(-1) ?? '');
    // A template that holds another one ends elsewhere.
    if (token.startsWith('`') && /\$\{[^}]*`$/.test(token)) return [];
    at += divides ? 1 : token.length;
    if (!isComment && token.trim() !== '') tokens.push(divides ? '/' : token);
  }
  return tokens;
}
