/** Of one that would be longer there is none: the record itself is looked through. */
const LONGEST = 2000;

/**
 * Lua that makes the gist of a dead job's record: `gistOf(text, now)`, nil where there is none.
 *
 * To look for a word in 50,000 records takes Redis a quarter of a second or more, most of it for handing their stacks to
 * Lua. The gist is what filters look for, beside the record, at a fifth of its length:
 *
 *     <time of death> \0 reason \0 messages… \1 \2 tag \2 tag \2 tags… \0 request id \0 attributes… \1 class \0 class \0 arguments
 *
 * All in small letters, so far as Lua knows letters, but the tags behind \2 and the first class. Class and arguments are as
 * in the JSON of the record, and so free of the marks. What else holds a mark has no gist, nor has a record that others wrote
 * or that arguments make ambiguous (sets/filter-script.ts). The time of death tells whether it is of this death.
 */
export const GIST_LUA = String.raw`
local function gistOf(text, now)
  local find, sub, lower = string.find, string.sub, string.lower
  local function only(mark, from)
    local at = from and find(text, mark, from, true)
    return at and not find(text, mark, at + 1, true) and at
  end
  local c = string.match(text, '^{"data":{"v":%d+,"class":"()')
  local a = c and find(text, '","args":[', c, true)
  local o = only('},"options":{"timestamp":', a)
  local e = only('],"via":"', a and a + 9)
  local s = o and find(text, '},"status":"', o + 1, true)
  if not s or not e or e > o or e - a > ${LONGEST} then return nil end
  local known, data, options = pcall(function()
    return cjson.decode('{"args":0'..sub(text, e + 1, o)), cjson.decode(sub(text, o + 12, s))
  end)
  if not known then return nil end
  local attrs, tags = data.attrs, data.tags
  if attrs and type(attrs) ~= 'table' or tags and type(tags) ~= 'table' then return nil end

  local function add(list, value)
    local kind = type(value)
    if kind == 'string' then list[#list + 1] = lower(value)
    elseif kind == 'number' then list[#list + 1] = string.format('%.15g', value)
    elseif kind == 'boolean' then list[#list + 1] = tostring(value)
    elseif kind == 'table' then
      for key, inner in pairs(value) do
        if type(key) == 'string' then add(list, key) end
        add(list, inner)
      end
    end
  end
  -- Without its frames.
  local function messageOf(trace)
    local parts, from = {}, 1
    while from do
      local frame = find(trace, '\n    at ', from, true)
      parts[#parts + 1] = sub(trace, from, frame and frame - 1)
      from = frame and find(trace, '\n', frame + 1, true)
    end
    return lower(table.concat(parts))
  end
  local errors, context, marked = {}, {}, {}
  add(errors, options.reason)
  for _, trace in ipairs(type(options.stacktraces) == 'table' and options.stacktraces or {}) do
    local message = type(trace) == 'string' and messageOf(trace)
    -- Errors repeat themselves, and the reason is often the last one's message.
    local isNew = message
    for _, one in ipairs(errors) do isNew = isNew and not find(one, message, 1, true) end
    if isNew then errors[#errors + 1] = message end
  end
  for _, tag in ipairs(tags or {}) do
    if type(tag) == 'string' then marked[#marked + 1] = tag end
    add(context, tag)
  end
  if attrs then add(context, attrs.requestId); add(context, attrs.attributes) end
  for _, list in ipairs({ errors, context, marked }) do
    for _, one in ipairs(list) do
      if find(one, '[%z\1\2]') then return nil end
    end
  end
  local class = sub(text, c, a - 1)
  local gist = now..'\0'..table.concat(errors, '\0')..'\1\2'..table.concat(marked, '\2')..'\2'..table.concat(context, '\0')
    ..'\1'..class..'\0'..lower(class)..'\0'..lower(sub(text, a + 9, e))
  return #gist <= ${LONGEST} and gist or nil
end
`;
