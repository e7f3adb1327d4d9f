import type { INamespace, Root, Type } from 'protobufjs'

/** One field of a message: number and type, `repeated` where it comes more than once, `map` for maps by text. */
export type FieldRule = readonly [id: number, type: string, how?: 'repeated' | 'map']

/** Messages by name, each with its fields: the part of a format's schema that is written here. */
export type MessageRules = Readonly<Record<string, Readonly<Record<string, FieldRule>>>>

/**
 * Encodes a message of a schema.
 *
 * @param messages the message and those inside it
 * @param name of the message
 * @param value plain objects; numbers for 64-bit fields, `Uint8Array` for bytes
 */
export async function encodeMessage(
  messages: MessageRules,
  name: string,
  value: object,
): Promise<Uint8Array> {
  return (await messageType(messages, name)).encode(value).finish()
}

/** The message type of a schema, also to decode with; protobufjs is loaded at the first call. */
export async function messageType(messages: MessageRules, name: string): Promise<Type> {
  const { default: protobuf } = await import('protobufjs/light.js')
  const root: Root = protobuf.Root.fromJSON({ nested: messagesOf(messages) })
  return root.lookupType(name)
}

function messagesOf(messages: MessageRules): NonNullable<INamespace['nested']> {
  return Object.fromEntries(
    Object.entries(messages).map(([message, fields]) => {
      const entries = Object.entries(fields).map(([field, [id, type, how]]) => {
        const key = how === 'map' ? { keyType: 'string' } : how === 'repeated' ? { rule: 'repeated' } : {}
        return [field, { id, type, ...key }] as const
      })
      // Proto2 writes false and 0 as well, which a choice between fields needs.
      return [message, { edition: 'proto2', fields: Object.fromEntries(entries) }] as const
    }),
  )
}
