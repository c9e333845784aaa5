// The UDP record of hmmr-live, version 1 (docs/game-engines.md, byte by byte), read without Unity and without garbage.

using System;

/// <summary>One record, read in place: make it once, and call <see cref="Read"/> for every packet.</summary>
public sealed class HmmrLiveRecord
{
    public const int Bytes = 404;
    public const int Version = 1;
    public const int BoneCount = 22;
    public const byte AxesUnity = 1;

    public enum State : byte { Lost = 0, Warming = 1, Held = 2, Tracking = 3 }

    /// <summary>The bones in the record's order: the names of UnityEngine.HumanBodyBones.</summary>
    public static readonly string[] BoneNames =
    {
        "Hips", "LeftUpperLeg", "RightUpperLeg", "LeftLowerLeg", "RightLowerLeg", "LeftFoot", "RightFoot", "Spine",
        "Chest", "UpperChest", "Neck", "Head", "LeftShoulder", "RightShoulder", "LeftUpperArm", "RightUpperArm",
        "LeftLowerArm", "RightLowerArm", "LeftHand", "RightHand", "LeftToes", "RightToes",
    };

    /// <summary>The parent of each bone, by its place in BoneNames; -1 for Hips. Parents come before their children,
    /// but for the toes, which come last.</summary>
    public static readonly int[] Parents =
    {
        -1, 0, 0, 1, 2, 3, 4, 0, 7, 8, 9, 10, 9, 9, 12, 13, 14, 15, 16, 17, 5, 6,
    };

    public State state;
    public uint seq;
    public uint frame;
    public ulong tCaptureNs; // CLOCK_MONOTONIC of the sender's machine
    public ulong tPublishNs;
    public uint person;
    public float score;
    public float hipsX, hipsY, hipsZ; // metres from the camera, Unity's axes
    public readonly float[] rotations = new float[4 * BoneCount]; // x, y, z, w of each bone, against its parent

    /// <summary>Read one packet. Returns null when it is a good record, otherwise why not; then nothing was changed.
    /// </summary>
    public string Read(byte[] packet, int length)
    {
        if (length != Bytes) return "not the 404 bytes of a record";
        if (packet[0] != 'H' || packet[1] != 'M' || packet[2] != 'R' || packet[3] != 'L') return "not a record of hmmr-live";
        if (UInt16(packet, 4) != Version) return "a record of another version: update HmmrLiveRecord.cs";
        if (packet[6] != AxesUnity) return "a record in other axes: start the stream with --sink udp:…,axes=unity";
        if (packet[7] > (byte)State.Tracking) return "a state that is unknown";
        for (int i = 40; i < Bytes; i += 4)
        {
            float value = Single(packet, i);
            if (float.IsNaN(value) || float.IsInfinity(value)) return "it holds NaN or infinity";
        }
        for (int bone = 0; bone < BoneCount; bone++)
        {
            float norm = 0;
            for (int i = 0; i < 4; i++)
            {
                float value = Single(packet, 52 + 16 * bone + 4 * i);
                norm += value * value;
            }
            if (!(norm > 0.99f && norm < 1.01f)) return "it holds no unit quaternions";
        }
        state = (State)packet[7];
        seq = UInt32(packet, 8);
        frame = UInt32(packet, 12);
        tCaptureNs = UInt64(packet, 16);
        tPublishNs = UInt64(packet, 24);
        person = UInt32(packet, 32);
        score = Single(packet, 36);
        hipsX = Single(packet, 40);
        hipsY = Single(packet, 44);
        hipsZ = Single(packet, 48);
        for (int i = 0; i < rotations.Length; i++) rotations[i] = Single(packet, 52 + 4 * i);
        return null;
    }

    /// <summary>Make this record the same as another.</summary>
    public void CopyFrom(HmmrLiveRecord other)
    {
        state = other.state;
        seq = other.seq;
        frame = other.frame;
        tCaptureNs = other.tCaptureNs;
        tPublishNs = other.tPublishNs;
        person = other.person;
        score = other.score;
        hipsX = other.hipsX;
        hipsY = other.hipsY;
        hipsZ = other.hipsZ;
        Array.Copy(other.rotations, rotations, rotations.Length);
    }

    static int UInt16(byte[] b, int at) { return b[at] | b[at + 1] << 8; }

    static uint UInt32(byte[] b, int at)
    {
        return b[at] | (uint)b[at + 1] << 8 | (uint)b[at + 2] << 16 | (uint)b[at + 3] << 24;
    }

    static ulong UInt64(byte[] b, int at) { return UInt32(b, at) | (ulong)UInt32(b, at + 4) << 32; }

    // Every machine that Unity runs on is little-endian, as the record is.
    static float Single(byte[] b, int at) { return BitConverter.ToSingle(b, at); }
}
