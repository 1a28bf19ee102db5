/**
 * Lua for `matches(id, text)`: does a record meet the filter in `F` (see `luaFilter`)?
 *
 * A record that our own code wrote is not parsed, since that takes ten times as long: its text has a known order,
 *
 *     {"data":{"v":1,"class":"C","args":[…],"via":"…",…},"options":{"timestamp":…},"status":"…","progress":0}
 *                            c     a      e               o
 *
 * and the marks between its parts cannot occur in strings, where quotes are escaped. If a mark occurs twice, since
 * arguments hold one like it, or if another producer wrote the record, it is parsed, which counts as more `work`.
 */
export const FILTER_LUA = String.raw`
local find, sub, lower, byte = string.find, string.sub, string.lower, string.byte
-- The number of records read, in units of about 1.5 kB.
local work = 0
local PARSED = 8

local function contains(text, terms)
  for i = 1, #terms do
    if find(text, terms[i], 1, true) then return true end
  end
  return false
end

-- Returns true if a parsed value contains one of the terms in a key, a string or a number.
local function holds(value, terms)
  local kind = type(value)
  if kind == 'string' then return contains(lower(value), terms) end
  if kind == 'number' then return contains(string.format('%.15g', value), terms) end
  if kind == 'boolean' then return contains(tostring(value), terms) end
  if kind ~= 'table' then return false end
  for key, inner in pairs(value) do
    if type(key) == 'string' and contains(lower(key), terms) or holds(inner, terms) then return true end
  end
  return false
end

local function field(value, key)
  if type(value) == 'table' then return value[key] end
end

local function includes(list, wanted)
  if type(list) ~= 'table' then return false end
  for _, item in ipairs(list) do
    if item == wanted then return true end
  end
  return false
end

local function parse(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and value or nil
end

local function isRetrying(text)
  local status = string.match(sub(text, -64), '"status":"(%a+)","progress":%-?[%d.]+}$')
  if not status then
    work = work + PARSED
    status = field(parse(text), 'status')
  end
  return status == 'retrying'
end

-- Only the messages of an error are searched: file names in its stack would match too much.
local function errorHolds(options, terms)
  if holds(field(options, 'reason'), terms) then return true end
  local traces = field(options, 'stacktraces')
  for _, trace in ipairs(type(traces) == 'table' and traces or {}) do
    if type(trace) == 'string' and contains(lower((trace:gsub('\n    at [^\n]*', ''))), terms) then return true end
  end
  return false
end

-- Returns the position of the quote that closes the JSON string around "at".
local function closing(text, at)
  at = find(text, '"', at, true)
  while at and byte(text, at - 1) == 92 do
    local slashes = 1
    while byte(text, at - 1 - slashes) == 92 do slashes = slashes + 1 end
    if slashes % 2 == 0 then return at end
    at = find(text, '"', at + 1, true)
  end
  return at
end

-- Returns true if a hit from "at" to "stop", in the options, is in the message of an error or in the reason.
-- Otherwise it returns false and the position from which to search on, if there is one.
local function inMessage(text, options, at, stop)
  work = work + 0.2
  local _, open = find(text, '"stacktraces":[', options, true)
  while open and byte(text, open + 1) == 34 do
    local from, close = open + 2, closing(text, open + 2)
    if not close then return false end
    while from and at < close do
      if at < from then return false, from end
      local frames = find(text, '\\n    at ', from, true)
      if not frames or frames > close then frames = close end
      if stop < frames then return true end
      if at < frames then return false, at + 1 end
      from = find(text, '\\nCaused by: ', frames, true)
      if not from or from > close then return false, close end
    end
    open = close + 1
  end
  local reason = open and find(text, ',"reason":"', open, true)
  local status = reason and find(text, '},"status":"', open, true)
  if not status or status < reason then return false end
  if at < reason + 11 then return false, reason + 11 end
  return stop < closing(text, reason + 11)
end

-- Finds the first hit from a position on, in upper or lower case. It searches for a rare part of the term only, in one
-- of its forms: lowering the text takes ten times as long, since Redis hashes each string that a script creates.
local function hitIn(text, term, part, from)
  local offset, last = term.offset, term.length - 1
  local at = find(text, part, from + offset, true)
  while at do
    work = work + 0.05
    if lower(sub(text, at - offset, at - offset + last)) == term.text then return at - offset end
    at = find(text, part, at + 1, true)
  end
end

local function errorTextHolds(text, options, terms)
  for _, term in ipairs(terms) do
    for _, part in ipairs(term.parts) do
      local at = hitIn(text, term, part, options)
      while at do
        local isIn, next = inMessage(text, options, at, at + term.length - 1)
        if isIn then return true end
        at = next and hitIn(text, term, part, next)
      end
    end
  end
  return false
end

-- Parses the rest of the data after the arguments: attrs and tags.
local function contextHolds(rest, terms)
  local attrs = field(rest, 'attrs')
  return holds(field(attrs, 'requestId'), terms) or holds(field(attrs, 'attributes'), terms)
    or holds(field(rest, 'tags'), terms)
end

local function matchesParsed(id, text)
  work = work + PARSED
  local record = parse(text)
  local data, options = field(record, 'data'), field(record, 'options')
  if type(data) ~= 'table' then
    if F.class or F.tag or F.error or F.failedSince then return false end
    return not F.text or contains(lower(text), F.plainText) or contains(lower(id), F.plainText)
  end
  if F.class and data.class ~= F.plainClass then return false end
  if F.tag and not includes(data.tags, F.tag) then return false end
  if F.error and not errorHolds(options, F.plainError) then return false end
  if F.failedSince and (tonumber(field(field(field(options, 'failures'), 1), 'at')) or 0) < F.failedSince then return false end
  if not F.text or contains(lower(id), F.plainText) or errorHolds(options, F.plainText) then return true end
  if type(data.class) ~= 'string' then return holds(data, F.plainText) end
  return holds(data.class, F.plainText) or holds(data.args, F.plainText) or contextHolds(data, F.plainText)
end

-- Returns the position at which the arguments end; nil if it is ambiguous.
local function endOfArguments(text, a)
  local e = find(text, '],"via":"', a + 9, true)
  return e and not find(text, '],"via":"', e + 1, true) and e or nil
end

local function rest(text, e, o)
  work = work + 1
  return parse('{"args":0' .. sub(text, e + 1, o))
end

-- Returns true if a form of a term is in the class, the arguments, the context or the errors; nil if only parsing can
-- tell.
local function formHolds(text, term, part, c, a, o)
  local at, e, attrs, isIn = hitIn(text, term, part, c), nil, nil, nil
  while at do
    local stop, next = at + term.length - 1, nil
    if stop < a then return true end
    if at < a + 9 then
      next = a + 9
    elseif at < o then
      e = e or endOfArguments(text, a)
      if not e then return nil end
      if stop <= e then return true end
      attrs = attrs or find(text, ',"attrs":', e, true) or e
      if at > attrs and contextHolds(rest(text, e, o), F.plainText) then return true end
      next = at > attrs and o or at > e and attrs or at + 1
    else
      isIn, next = inMessage(text, o, at, stop)
      if isIn then return true end
    end
    at = next and hitIn(text, term, part, next)
  end
  return false
end

local function textHolds(text, c, a, o)
  for _, term in ipairs(F.text) do
    for _, part in ipairs(term.parts) do
      local found = formHolds(text, term, part, c, a, o)
      if found ~= false then return found end
    end
  end
  return false
end

local function matches(id, text)
  if not text then
    return not (F.retrying or F.class or F.tag or F.error or F.failedSince) and (not F.text or contains(lower(id), F.plainText))
  end
  work = work + 1 + #text / 1500
  if F.retrying ~= nil and isRetrying(text) ~= F.retrying then return false end
  if not (F.class or F.tag or F.error or F.text or F.failedSince) then return true end
  local c = string.match(text, '^{"data":{"v":%d+,"class":"()')
  local a = c and find(text, '","args":[', c, true)
  if not a then return matchesParsed(id, text) end
  if F.class and sub(text, c, a - 1) ~= F.class then return false end
  if not (F.tag or F.error or F.text or F.failedSince) then return true end
  if F.tag and not find(text, F.tagText, a, true) then return false end
  local o = find(text, '},"options":{"timestamp":', a, true)
  if not o or find(text, '},"options":{"timestamp":', o + 1, true) then return matchesParsed(id, text) end
  if F.failedSince then
    -- Quotes in texts are escaped, so no error contains this mark.
    local at = string.match(text, '"failures":%[{[^{}%[%]]-"at":(%d+)', o)
    if (tonumber(at) or 0) < F.failedSince then return false end
  end
  if F.error and not errorTextHolds(text, o, F.error) then return false end
  if F.tag then
    local e = endOfArguments(text, a)
    if not e then return matchesParsed(id, text) end
    if not includes(field(rest(text, e, o), 'tags'), F.tag) then return false end
  end
  if not F.text or contains(lower(id), F.plainText) then return true end
  local found = textHolds(text, c, a, o)
  if found == nil then return matchesParsed(id, text) end
  return found
end
`;
