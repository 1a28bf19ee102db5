import { HELD_KEY, placesKey, WAKE_CHANNEL } from '../redis/keys';

// The part of the fused script that keeps the limits of classes.
//
// A class with a limit has a set of places that are taken, `catamount:limit:<class>`, each "<prefix><id>". When that is
// full, its next job moves from the queue to the list `held:<class>` beside it, and the walk goes on. As soon as there
// is a place, here or in another process (which is woken then), held jobs come before what waits in their queue. Nothing
// but a fetch moves them, so nobody can forget them: those of a class that has no limit any more flow at once.
// A place counts only while its job is in `active`: whatever else takes a job away from its process (a rescue, a
// take-over, a lost reply, a hand) frees it by that. `catamount:held` has the keys of the lists that may hold something.

const PLACES = `'${placesKey('')}'`;

/** Defines what follows, where limits are given. Needs `call`, `limits`, `out`. */
export const LIMITS = `
local freePlaces, limitedClass, popHeld, hold, takePlace, leavePlace, wakeOthers
if limits ~= '' then
  local free, freed, held = {}, {}, {}                    -- by class: free places, once known; one was given up. By prefix: classes

  -- How many more jobs of a class may run. Without a limit: any number, unless somebody who knows of one is at work.
  freePlaces = function(class, check)
    if free[class] then return free[class] end
    local key = ${PLACES}..class
    local _, at = limits:find('\\n'..class..'\\t', 1, true)
    local limit, here, taken = nil, 0, call('scard', key)
    if at then limit, here = limits:match('^(%d+) (%d+)', at + 1) end
    if taken > 0 and (check or taken >= tonumber(limit or 1)) then
      for _, place in ipairs(call('smembers', key)) do
        local p, id = place:match('^([^:]*:[^:]*:)(.*)$')
        if not call('lpos', p..'active', id) then
          call('srem', key, place)
          taken, freed[class] = taken - 1, true
        end
      end
    end
    free[class] = limit and tonumber(limit) - math.max(taken, tonumber(here)) or taken == 0 and math.huge or 0
    return free[class]
  end

  -- A plain producer's record must begin as ours do, else it has no limit.
  limitedClass = function(record)
    local class = record:match('^{"data":{[^{}%[%]]-"class":"([^"\\\\]+)"')
    return class and limits:find('\\n'..class..'\\t', 1, true) and class
  end

  popHeld = function(p)
    for _, class in ipairs(held[p] or {}) do
      local id = freePlaces(class) > 0 and call('rpoplpush', p..'held:'..class, p..'active')
      if id then return id end
    end
  end

  hold = function(p, id, class)
    call('lrem', p..'active', 1, id); call('lpush', p..'held:'..class, id)
    call('sadd', '${HELD_KEY}', p..'held:'..class)
    out[3] = '1'
  end

  takePlace = function(p, id, class)
    free[class] = freePlaces(class) - 1
    call('sadd', ${PLACES}..class, p..id)
  end

  leavePlace = function(p, id, class)
    if call('srem', ${PLACES}..class, p..id) == 1 then freed[class] = true end
  end

  -- For places that were given up in this call and not taken again.
  wakeOthers = function()
    for p, classes in pairs(held) do
      for _, class in ipairs(classes) do
        if freed[class] and freePlaces(class) > 0 then call('publish', '${WAKE_CHANNEL}', p) end
      end
    end
  end

  if limits:find('upkeep', 1, true) == 1 then             -- places of dead processes, which would only be seen when all are taken
    for class in limits:gmatch('\\n([^\\t\\n]+)\\t') do freePlaces(class, true) end
  end

  for _, key in ipairs(call('smembers', '${HELD_KEY}')) do
    local p, class = key:match('^([^:]*:[^:]*:)held:(.*)$')
    if call('exists', key) == 0 then
      call('srem', '${HELD_KEY}', key)
    else
      held[p] = held[p] or {}
      table.insert(held[p], class)
      out[3] = '1'
    end
  end
end
`;
