// Drives clients/unity without Unity (UnityEngine.cs beside this):
//     UnityCheck decode FILE     every field of the record in FILE, a line each; or why it is none
//     UnityCheck receive PORT N  an avatar without UpperChest, whose bones stand askew, follows the records that come to
//                                PORT, until frame N; "shown" after the first; then where its bones look, and how
//                                the worst elbow was
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Reflection;
using System.Threading;
using UnityEngine;

public static class UnityCheck
{
    static readonly string[] Skipped = { "UpperChest" };

    public static int Main(string[] words)
    {
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        return words[0] == "decode" ? Decode(words[1]) : Receive(int.Parse(words[1]), uint.Parse(words[2]));
    }

    static int Decode(string path)
    {
        byte[] packet = File.ReadAllBytes(path);
        HmmrLiveRecord record = new HmmrLiveRecord();
        string wrong = record.Read(packet, packet.Length);
        if (wrong != null)
        {
            Console.WriteLine(wrong);
            return 1;
        }
        Console.WriteLine("state " + record.state);
        Console.WriteLine("seq " + record.seq);
        Console.WriteLine("frame " + record.frame);
        Console.WriteLine("tCaptureNs " + record.tCaptureNs);
        Console.WriteLine("tPublishNs " + record.tPublishNs);
        Console.WriteLine("person " + record.person);
        Console.WriteLine("score " + record.score.ToString("R"));
        Console.WriteLine("hips " + Numbers(record.hipsX, record.hipsY, record.hipsZ));
        Console.WriteLine("rotations " + Numbers(record.rotations));
        return 0;
    }

    static int Receive(int port, uint last)
    {
        Dictionary<string, Transform> bones = new Dictionary<string, Transform>();
        HmmrLiveReceiver receiver = Avatar(bones);
        receiver.port = port;
        Call(receiver, "OnEnable");
        if (receiver.LastError != null) return 1;
        Call(receiver, "Start");
        Console.WriteLine("listening");
        HashSet<uint> shown = new HashSet<uint>();
        double worst = 0;
        DateTime giveUp = DateTime.UtcNow.AddSeconds(200);
        int before = GC.CollectionCount(0);
        while (!(receiver.Received > 0 && receiver.Record.frame == last) && DateTime.UtcNow < giveUp)
        {
            Call(receiver, "LateUpdate");
            if (receiver.Received > 0 && receiver.Record.seq > 0 && shown.Add(receiver.Record.frame))
            {
                // Beyond T-pose: the avatar's bones stand askew there, each by the same turn.
                Quaternion turn = Quaternion.Inverse(bones["LeftUpperArm"].rotation) * bones["LeftLowerArm"].rotation;
                double angle = 2 * Math.Atan2(Math.Sqrt(turn.x * turn.x + turn.y * turn.y + turn.z * turn.z), Math.Abs(turn.w));
                double sent = 0.2 + 0.018 * (receiver.Record.frame % 100); // as in tests/client_streams.py
                worst = Math.Max(worst, Math.Abs(angle - sent));
                if (shown.Count == 1) Console.WriteLine("shown");
            }
            Thread.Sleep(2);
        }
        Console.WriteLine("collections " + (GC.CollectionCount(0) - before));
        Call(receiver, "OnDisable");
        Console.WriteLine("received " + receiver.Received);
        Console.WriteLine("refused " + receiver.Refused + " " + receiver.LastError);
        Console.WriteLine("shown " + shown.Count);
        Console.WriteLine("elbow " + worst.ToString("R"));
        foreach (KeyValuePair<string, Transform> bone in bones)
        {
            Quaternion turn = bone.Value.rotation * Quaternion.Inverse(Askew);
            Console.WriteLine("bone " + bone.Key + " " + Numbers(turn.x, turn.y, turn.z, turn.w));
        }
        Vector3 hips = bones["Hips"].position;
        Console.WriteLine("at " + Numbers(hips.x, hips.y, hips.z));
        return 0;
    }

    // Every bone's axes in T-pose, against the avatar's: as a modelling program may have left them.
    static Quaternion Askew { get { return new Quaternion(0.5f, -0.5f, 0.1f, 0.7f * 1.0f).Normalised(); } }

    static Quaternion Normalised(this Quaternion q)
    {
        float n = (float)Math.Sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
        return new Quaternion(q.x / n, q.y / n, q.z / n, q.w / n);
    }

    static HmmrLiveReceiver Avatar(Dictionary<string, Transform> bones)
    {
        Transform root = new Transform { name = "Avatar" };
        Animator animator = new Animator { avatar = new Avatar { isHuman = true } };
        List<SkeletonBone> pose = new List<SkeletonBone>();
        List<int> order = new List<int>();
        for (int i = 0; i < HmmrLiveRecord.BoneCount; i++) order.Add(i);
        foreach (int i in order)
        {
            string name = HmmrLiveRecord.BoneNames[i];
            if (Array.IndexOf(Skipped, name) >= 0) continue;
            int parent = HmmrLiveRecord.Parents[i];
            while (parent >= 0 && Array.IndexOf(Skipped, HmmrLiveRecord.BoneNames[parent]) >= 0) parent = HmmrLiveRecord.Parents[parent];
            Transform bone = new Transform { name = name, parent = parent < 0 ? root : bones[HmmrLiveRecord.BoneNames[parent]] };
            bone.localPosition = parent < 0 ? new Vector3(0, 0.9f, 0) : new Vector3(0, 0.1f, 0);
            Quaternion rest = parent < 0 ? Askew : Quaternion.identity;
            pose.Add(new SkeletonBone { name = name, rotation = rest });
            bone.localRotation = new Quaternion(0, 0, 0.6f, 0.8f); // not in T-pose when the game starts
            bones[name] = bone;
            animator.bones[(HumanBodyBones)Enum.Parse(typeof(HumanBodyBones), name)] = bone;
        }
        animator.avatar.humanDescription = new HumanDescription { skeleton = pose.ToArray() };
        return new HmmrLiveReceiver { transform = root, animator = animator };
    }

    static void Call(object target, string method)
    {
        target.GetType().GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(target, null);
    }

    static string Numbers(params float[] values)
    {
        return string.Join(" ", Array.ConvertAll(values, value => value.ToString("R")));
    }
}
