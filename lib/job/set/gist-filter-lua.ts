/**
 * Lua that looks for what a filter wants in the gist of a dead job (../redis/gist-lua.ts): `gistMatches(id, gist, at)`, for one
 * that died at `at`, with the filter in `F` (see `luaFilter`); nil: the gist is of another death. Expects FILTER_LUA.
 */
export const GIST_FILTER_LUA = String.raw`
-- Of the work that a record of 1.5 kB makes.
local GIST_WORK = 0.7

-- Its rarest part is looked for first.
local function foundIn(gist, needle, from)
  local offset, length, part = needle.offset, needle.length, needle.parts[1]
  local at = find(gist, part, from + offset, true)
  while at do
    local first = at - offset
    if #part == length or sub(gist, first, first + length - 1) == needle.text then return first end
    work = work + 0.02
    at = find(gist, part, at + 1, true)
  end
end

local function foundAny(gist, needles, from, to)
  for i = 1, #needles do
    local at = foundIn(gist, needles[i], from)
    if at and (not to or at < to) then return true end
  end
  return false
end

local function gistMatches(id, gist, at)
  if find(gist, at, 1, true) ~= 1 or byte(gist, #at + 1) ~= 0 then return nil end
  work = work + GIST_WORK
  local wanted, from = F.gist, #at + 2
  if wanted.class and not find(gist, wanted.class, from, true) then return false end
  if wanted.tag and not find(gist, wanted.tag, from, true) then return false end
  if wanted.error and not foundAny(gist, wanted.error, from, find(gist, '\1', from, true)) then return false end
  if not wanted.text or contains(lower(id), F.plainText) or foundAny(gist, wanted.text, from) then return true end
  if #wanted.escaped == 0 then return false end
  -- In the JSON of class and arguments only.
  local json = find(gist, '\1', find(gist, '\1', from, true) + 1, true)
  return foundAny(gist, wanted.escaped, json)
end
`;
