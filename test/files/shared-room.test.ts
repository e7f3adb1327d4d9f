import { expect, it } from 'vitest'
import { SharedRoom } from '../../src/files/shared-room.js'

const decodingRoom = new SharedRoom(2 ** 28)

it('lets decodings share 256 MiB, in order, and one larger image decode alone', async () => {
  const running = new Set<string>()
  const log: string[] = []
  const ends = new Map<string, () => void>()
  const begin = (name: string, mebibytes: number): Promise<void> =>
    decodingRoom.with(mebibytes * 2 ** 20, async () => {
      running.add(name)
      log.push([...running].join('+'))
      await new Promise<void>(resolve => ends.set(name, resolve))
      running.delete(name)
    })
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
  const all = [begin('a', 200), begin('b', 50), begin('large', 900), begin('c', 1)]
  await settle()
  expect(log).toEqual(['a', 'a+b'])
  for (const name of ['a', 'b', 'large']) {
    ends.get(name)?.()
    await settle()
  }
  expect(log).toEqual(['a', 'a+b', 'large', 'c'])
  ends.get('c')?.()
  await Promise.all(all)
  await expect(decodingRoom.with(1, async () => Promise.reject(new Error('damaged')))).rejects.toThrow(
    'damaged',
  )
  await expect(decodingRoom.with(2 ** 28, async () => 'room again')).resolves.toBe('room again')
})
