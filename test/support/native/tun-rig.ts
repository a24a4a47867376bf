/** One engine whose TUN is a socket pair: rows go in by tunSend, the other end shows what a kernel would get. */
import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { endianness } from 'node:os';
import { type Addon, type EngineViews, loadAddon } from '../../../src/memory/addon.ts';
import {
  FEATURES_ALL,
  GSO,
  GSO_FLAG,
  LAYOUT,
  ROW,
  STAT_NAMES,
} from '../../../src/memory/layout.ts';
import {
  NEEDS_CSUM,
  segmented,
  type Written,
  withoutAtomicId,
  writeTransportChecksum,
} from '../segmenter.ts';
import { giveBackViews, takeViews } from './rig.ts';

/** A row of tunOut. */
export interface TunRow {
  packet: Uint8Array;
  gso?: number;
  gsoSize?: number;
  csumStart?: number;
  csumOffset?: number;
}

const VNET_BYTES = 10;
const FIRST_BYTE = LAYOUT.tunInRows * LAYOUT.slotStride;

function parseWritten(bytes: Buffer): Written {
  const little = endianness() === 'LE';
  const word = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  return {
    flags: bytes[0] as number,
    gsoType: bytes[1] as number,
    headerBytes: word(2),
    gsoSize: word(4),
    csumStart: word(6),
    csumOffset: word(8),
    packet: new Uint8Array(bytes.subarray(VNET_BYTES)),
  };
}

/** What a row stands for once its checksum is finished. */
function finished(row: TunRow): Uint8Array {
  if (!((row.gso ?? 0) & GSO_FLAG.needsCsum)) return row.packet;
  const packet = row.packet.slice();
  writeTransportChecksum(packet);
  return packet;
}

export class TunRig {
  readonly addon: Addon = loadAddon();
  readonly views: EngineViews = takeViews();
  readonly engine: number;
  private readonly link: number;
  private readonly farFd: number;
  private readonly fds: number[];
  private readonly buffer = Buffer.alloc(VNET_BYTES + LAYOUT.slotStride);

  /** `tunFd` takes the place of the pair's near end. */
  constructor(features = FEATURES_ALL, tunFd?: number) {
    const pair = this.addon.openPair();
    const udpFd = this.addon.openWake(); // a link has one; nothing uses it
    this.engine = this.addon.createEngine(this.views);
    this.link = this.addon.attachLink(this.engine, {
      family: 4,
      tunFd: tunFd ?? pair[0],
      udpFd,
      sendFds: Int32Array.of(udpFd),
      tapFd: -1,
      features,
    });
    this.farFd = pair[1];
    this.fds = [...pair, udpFd];
  }

  /** Rows lie one behind the other in the pool. */
  fill(rows: readonly TunRow[]): void {
    let at = FIRST_BYTE;
    rows.forEach((input, index) => {
      this.views.pool.set(input.packet, at);
      const row = this.row(index);
      row.fill(0);
      row[ROW.offset] = at;
      row[ROW.length] = input.packet.length;
      row[ROW.gso] = input.gso ?? 0;
      row[ROW.gsoSize] = input.gsoSize ?? 0;
      row[ROW.csumStart] = input.csumStart ?? 0;
      row[ROW.csumOffset] = input.csumOffset ?? 0;
      row[ROW.result] = -1; // must be overwritten
      at += input.packet.length;
    });
  }

  row(index: number): Int32Array {
    return this.views.tunOut.subarray(index * LAYOUT.rowInts, (index + 1) * LAYOUT.rowInts);
  }

  result(index: number): number {
    return this.row(index)[ROW.result] as number;
  }

  /** Writes the first `count` rows; the number of failed ones. */
  send(count: number): number {
    return this.addon.tunSend(this.engine, this.link, count);
  }

  /** What was written, in order. */
  take(): Written[] {
    const all: Written[] = [];
    for (;;) {
      try {
        const bytes = readSync(this.farFd, this.buffer);
        all.push(parseWritten(this.buffer.subarray(0, bytes)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return all;
        throw error;
      }
    }
  }

  stat(name: (typeof STAT_NAMES)[number]): number {
    return this.views.stats[STAT_NAMES.indexOf(name)] as number;
  }

  /**
   * Writes the rows and expects one write for each group of row numbers, in this order: a row alone as it was given, several
   * as a super-packet that segmentation turns into them again.
   */
  expect(rows: readonly TunRow[], groups: readonly (readonly number[])[], bad = 0): void {
    const before = [this.stat('coalesced'), this.stat('badChecksum')] as const;
    this.fill(rows);
    assert.equal(this.send(rows.length), 0, 'failed rows');
    const written = this.take();
    assert.deepEqual(
      written.map((one) => segmented(one).length),
      groups.map((group) => group.length),
    );
    written.forEach((one, index) => {
      assertGroup(
        one,
        (groups[index] as number[]).map((row) => rows[row] as TunRow),
      );
    });
    rows.forEach((_, index) => {
      assert.equal(this.result(index), 0, `result of row ${index}`);
    });
    assert.equal(this.stat('coalesced') - before[0], rows.length - groups.length, 'coalesced');
    assert.equal(this.stat('badChecksum') - before[1], bad, 'bad checksums');
    assert.equal(this.stat('gsoFallbacks'), 0, 'fallbacks');
  }

  end(): void {
    this.addon.destroyEngine(this.engine);
    giveBackViews(this.views);
    for (const fd of this.fds) this.addon.close(fd);
  }
}

/** Exact for a packet alone; merged ones lose the identification that nobody may look at. */
export function assertGroup(written: Written, rows: readonly TunRow[]): void {
  if (written.gsoType !== GSO.none) {
    const segments = segmented(written).map(withoutAtomicId);
    assert.deepEqual(
      segments,
      rows.map((row) => withoutAtomicId(finished(row))),
    );
    return;
  }
  const row = rows[0] as TunRow;
  const isPartial = ((row.gso ?? 0) & GSO_FLAG.needsCsum) !== 0;
  assert.deepEqual(written, {
    flags: isPartial ? NEEDS_CSUM : 0,
    gsoType: GSO.none,
    headerBytes: 0,
    gsoSize: 0,
    csumStart: isPartial ? row.csumStart : 0,
    csumOffset: isPartial ? row.csumOffset : 0,
    packet: row.packet,
  });
}
