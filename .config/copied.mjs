/** What the code reads at run time and no compiler touches: templates, texts, pages. Below lib/ only. */
export const COPIED = /(?:\.(ejs|json|html|css|svg|js|yml|cjs)|\.d\.cts)$/;
