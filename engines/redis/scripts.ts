/**
 * The scripts that the engine runs in the server. They are sent whole each time: as short as they
 * are, that costs a microsecond, and asking first whether the server still has them costs a round
 * trip now and then.
 */

/**
 * KEYS: the Redis key. ARGV: the expected deadline as `PEXPIRETIME` tells it, `""` for no entry,
 * `"any"` for any; the expected value; then what comes in its place: the value and its deadline,
 * `""` for none, or nothing at all.
 */
export const COMPARE_AND_SET = `
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if value then return 0 end
elseif value ~= ARGV[2] then
  return 0
elseif ARGV[1] ~= 'any' and redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[1]) then
  return 0
end
if #ARGV == 2 then
  redis.call('UNLINK', KEYS[1])
elseif ARGV[4] == '' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
end
return 1`;

/**
 * KEYS: many Redis keys. ARGV: the command that tells the deadline of one; Redis has none for many.
 * The answer is packed as doubles: an array of numbers takes as long again to send and read.
 */
export const DEADLINES = `
local call, keys, deadlines = redis.call, KEYS, {}
for i = 1, #keys do deadlines[i] = call(ARGV[1], keys[i]) end
return struct.pack('<' .. string.rep('d', #keys), unpack(deadlines))`;
