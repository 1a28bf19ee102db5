/**
 * Lua that tells whether a record meets a filter: `matches(id, text)`, with the filter in `F` (see `luaFilter`).
 *
 * A record that our own code wrote is not parsed, which takes ten times as long: its text has a known order,
 *
 *     {"data":{"v":1,"class":"C","args":[…],"via":"…",…},"options":{"timestamp":…},"status":"…","progress":0}
 *                            c     a      e               o
 *
 * and the marks between its parts cannot occur in strings, where quotes are escaped. Where a mark occurs twice, since
 * arguments hold one like it, or where somebody else wrote the record, it is parsed, which counts as more `work`.
 */
export const FILTER_LUA = String.raw`
local find, sub, lower = string.find, string.sub, string.lower
-- Records read, in units of about 1.5 kB.
local work = 0
local PARSED = 8

local function contains(text, needles)
  for _, needle in ipairs(needles) do
    if find(text, needle, 1, true) then return true end
  end
  return false
end

-- Whether a parsed value contains one of the needles in a key, a string, a number.
local function holds(value, needles)
  local kind = type(value)
  if kind == 'string' then return contains(lower(value), needles) end
  if kind == 'number' then return contains(string.format('%.15g', value), needles) end
  if kind == 'boolean' then return contains(tostring(value), needles) end
  if kind ~= 'table' then return false end
  for key, inner in pairs(value) do
    if type(key) == 'string' and contains(lower(key), needles) or holds(inner, needles) then return true end
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

-- Of the text of an error only the messages count: file names in its stack would match too much.
local function errorHolds(options, needles)
  if holds(field(options, 'reason'), needles) then return true end
  local traces = field(options, 'stacktraces')
  for _, trace in ipairs(type(traces) == 'table' and traces or {}) do
    if type(trace) == 'string' and contains(lower((trace:gsub('\n    at [^\n]*', ''))), needles) then return true end
  end
  return false
end

-- Where the JSON string ends that at is in: at its closing quote.
local function closing(text, at)
  while true do
    at = find(text, '"', at, true)
    local slashes = 0
    while at and text:byte(at - 1 - slashes) == 92 do slashes = slashes + 1 end
    if not at or slashes % 2 == 0 then return at end
    at = at + 1
  end
end

-- As errorHolds, in JSON text from its options on.
local function errorTextHolds(text, options, needles)
  local _, at = find(text, '"stacktraces":[', options, true)
  while at and sub(text, at + 1, at + 1) == '"' do
    local from, stop = at + 2, closing(text, at + 2)
    if not stop then return false end
    while from do
      local frames = find(text, '\\n    at ', from, true)
      if not frames or frames > stop then frames = stop end
      if contains(lower(sub(text, from, frames - 1)), needles) then return true end
      from = find(text, '\\nCaused by: ', frames, true)
      if from and from > stop then from = nil end
    end
    at = stop + 1
  end
  local reason = at and find(text, ',"reason":"', at, true)
  local status = reason and find(text, '},"status":"', at, true)
  if not status or status < reason then return false end
  return contains(lower(sub(text, reason + 11, closing(text, reason + 11) - 1)), needles)
end

-- What follows the arguments in data: attrs, tags.
local function contextHolds(rest, needles)
  local attrs = field(rest, 'attrs')
  return holds(field(attrs, 'requestId'), needles) or holds(field(attrs, 'attributes'), needles)
    or holds(field(rest, 'tags'), needles)
end

local function matchesParsed(id, text)
  work = work + PARSED
  local record = parse(text)
  local data, options = field(record, 'data'), field(record, 'options')
  if type(data) ~= 'table' then
    if F.class or F.tag or F.error then return false end
    return not F.text or contains(lower(text), F.text) or contains(lower(id), F.plainText)
  end
  if F.class and data.class ~= F.plainClass then return false end
  if F.tag and not includes(data.tags, F.tag) then return false end
  if F.error and not errorHolds(options, F.plainError) then return false end
  if not F.text or contains(lower(id), F.plainText) or errorHolds(options, F.plainText) then return true end
  if type(data.class) ~= 'string' then return holds(data, F.plainText) end
  return holds(data.class, F.plainText) or holds(data.args, F.plainText) or contextHolds(data, F.plainText)
end

-- Where the arguments end. nil: that cannot be told.
local function endOfArguments(text, a)
  local e = find(text, '],"via":"', a + 9, true)
  return e and not find(text, '],"via":"', e + 1, true) and e or nil
end

local function rest(text, e, o)
  work = work + 1
  return parse('{"args":0' .. sub(text, e + 1, o))
end

-- low: the lowered text from c to o.
local function headHolds(text, low, c, a, e, o)
  local inRest = false
  for _, needle in ipairs(F.text) do
    local hit = find(low, needle, 1, true)
    if hit then
      if hit + #needle <= a - c + 1 then return true end
      hit = find(low, needle, a - c + 10, true)
      if hit and hit + #needle <= e - c + 2 then return true end
      inRest = inRest or find(low, needle, e - c + 2, true)
    end
  end
  return inRest and contextHolds(rest(text, e, o), F.plainText)
end

local function matches(id, text)
  if not text then return not (F.class or F.tag or F.error) and (not F.text or contains(lower(id), F.plainText)) end
  work = work + 1 + #text / 1500
  if F.retrying ~= nil and isRetrying(text) ~= F.retrying then return false end
  if not (F.class or F.tag or F.error or F.text) then return true end
  local c = string.match(text, '^{"data":{"v":%d+,"class":"()')
  local a = c and find(text, '","args":[', c, true)
  if not a then return matchesParsed(id, text) end
  if F.class and sub(text, c, a - 1) ~= F.class then return false end
  if not (F.tag or F.error or F.text) then return true end
  if F.tag and not find(text, F.tagText, a, true) then return false end
  local o = find(text, '},"options":{"timestamp":', a, true)
  if not o or find(text, '},"options":{"timestamp":', o + 1, true) then return matchesParsed(id, text) end
  if F.error and not errorTextHolds(text, o, F.error) then return false end
  local low = F.text and lower(sub(text, c, o))
  local inHead = low and contains(low, F.text)
  if F.text and not inHead and not contains(lower(id), F.plainText) and not errorTextHolds(text, o, F.text) then
    return false
  end
  if not F.tag and not inHead then return true end
  local e = endOfArguments(text, a)
  if not e then return matchesParsed(id, text) end
  if F.tag and not includes(field(rest(text, e, o), 'tags'), F.tag) then return false end
  return not inHead or headHolds(text, low, c, a, e, o) or contains(lower(id), F.plainText)
    or errorTextHolds(text, o, F.text)
end
`;
