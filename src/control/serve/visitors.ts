/**
 * The connections of a listener: when there is no room for one more, the oldest that asks nothing makes it, so that whoever asks at
 * once (a probe) is answered however many connections strangers hold open.
 */
import type { Socket } from 'node:net';

export interface Room {
  connectionsMax: number;
  /** of them from one address; absent where connections have none (unix sockets) */
  perAddressMax?: number;
}

/** What a visitor gets: it is answered until everything is handed to the kernel. An HTTP response and a socket are both. */
export interface Reply {
  readonly writableEnded: boolean;
}

interface Visitor {
  address: string;
  reply: Reply | undefined;
}

export class Visitors {
  private readonly room: Room;
  /** the one that has been idle longest first */
  private readonly known = new Map<Socket, Visitor>();

  constructor(room: Room) {
    this.room = room;
  }

  /** Takes a new connection in, which may cost an older one. False where all others are being answered: it is closed. */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? '';
    const { connectionsMax, perAddressMax = connectionsMax } = this.room;
    const isFrom = (visitor: Visitor): boolean => visitor.address === address;
    const hasRoom =
      this.makeRoom(perAddressMax, isFrom) && this.makeRoom(connectionsMax, () => true);
    if (!hasRoom) {
      socket.destroy();
      return false;
    }
    this.known.set(socket, { address, reply: undefined });
    socket.once('close', () => this.known.delete(socket));
    return true;
  }

  /** It asked. False when it is still being answered: it does not wait its turn. */
  begin(socket: Socket, reply: Reply): boolean {
    const visitor = this.known.get(socket);
    if (!visitor || visitor.reply) return false;
    visitor.reply = reply;
    return true;
  }

  /** The answer is out; the connection may ask again. */
  end(socket: Socket): void {
    const visitor = this.known.get(socket);
    if (!visitor) return;
    visitor.reply = undefined;
    this.known.delete(socket);
    this.known.set(socket, visitor);
  }

  closeAll(): void {
    for (const socket of this.known.keys()) socket.destroy();
  }

  /** Whether fewer than `most` of these are there, in the end. */
  private makeRoom(most: number, isOne: (visitor: Visitor) => boolean): boolean {
    const ones = [...this.known].filter(([, visitor]) => isOne(visitor));
    if (ones.length < most) return true;
    // Before who was answered and does not read goes who has not even asked.
    const [leaver] =
      ones.find(([, { reply }]) => !reply) ??
      ones.find(([, { reply }]) => reply?.writableEnded) ??
      [];
    if (!leaver) return false;
    this.known.delete(leaver);
    leaver.destroy();
    return true;
  }
}
