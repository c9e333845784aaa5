// Moves a humanoid avatar by the stream of hmmr-live. Put it on the GameObject that has the avatar's Animator, and start
//     python run_live.py --sink udp:127.0.0.1:5577,axes=unity
// A thread receives; the newest record wins; nothing is smoothed, and no frame makes garbage.

using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using UnityEngine;

[RequireComponent(typeof(Animator))]
public sealed class HmmrLiveReceiver : MonoBehaviour
{
    const ulong ReorderedNs = 1000000000; // older by less: overtaken on its way; by more: the stream was started anew
    const int WakeMs = 200; // how often the thread looks whether it is over

    [Tooltip("UDP port of --sink udp:127.0.0.1:PORT,axes=unity")]
    public int port = 5577;
    [Tooltip("Receive from other machines, too")]
    public bool fromOtherMachines = false;
    [Tooltip("Carry the hips from where the avatar stands, as the person moves from where they were first seen")]
    public bool moveHips = true;
    [Tooltip("Metres of the avatar for a metre of the person")]
    public float hipsScale = 1f;

    /// <summary>What was applied last; its state tells whether the person is seen.</summary>
    public HmmrLiveRecord Record { get { return _shown; } }
    /// <summary>Records that were good, since the start.</summary>
    public int Received { get { return _received; } }
    /// <summary>Packets that were not.</summary>
    public int Refused { get { return _refused; } }
    /// <summary>Why the last packet was refused, or why nothing can be received; null while all is well.</summary>
    public string LastError { get { return _lastError; } }

    readonly Transform[] _bones = new Transform[HmmrLiveRecord.BoneCount]; // null where the avatar has none
    readonly Quaternion[] _atRest = new Quaternion[HmmrLiveRecord.BoneCount]; // in T-pose, against the avatar's root
    readonly Quaternion[] _turned = new Quaternion[HmmrLiveRecord.BoneCount];
    readonly HmmrLiveRecord _shown = new HmmrLiveRecord();
    readonly object _lock = new object();
    HmmrLiveRecord _newest = new HmmrLiveRecord(); // under _lock
    bool _fresh; // under _lock
    bool _startedAnew; // under _lock: the stream, since the last Apply
    Socket _socket;
    Thread _thread;
    volatile bool _ending;
    volatile int _received, _refused;
    volatile string _lastError;
    Vector3 _hipsAtRest; // against the avatar's root
    Vector3 _firstSeen;
    bool _seen;
    uint _person;

    void Start()
    {
        Animator animator = GetComponent<Animator>();
        if (animator.avatar == null || !animator.avatar.isHuman)
        {
            _lastError = "the Animator has no humanoid avatar: set the model's Rig to Humanoid in its import settings";
            Debug.LogError("hmmr-live: " + _lastError);
            enabled = false;
            return;
        }
        Dictionary<string, SkeletonBone> pose = TPose(animator);
        for (int bone = 0; bone < _bones.Length; bone++)
        {
            HumanBodyBones name = (HumanBodyBones)Enum.Parse(typeof(HumanBodyBones), HmmrLiveRecord.BoneNames[bone]);
            _bones[bone] = animator.GetBoneTransform(name);
            if (_bones[bone] != null) _atRest[bone] = RotationInTPose(_bones[bone], pose);
        }
        _hipsAtRest = transform.InverseTransformPoint(_bones[0].position);
    }

    void OnEnable()
    {
        try
        {
            _socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            _socket.ReceiveTimeout = WakeMs;
            _socket.Bind(new IPEndPoint(fromOtherMachines ? IPAddress.Any : IPAddress.Loopback, port));
        }
        catch (SocketException error)
        {
            _lastError = "cannot listen on UDP port " + port + " (" + error.Message + "): is another receiver running?";
            Debug.LogError("hmmr-live: " + _lastError);
            _socket.Close();
            return;
        }
        _ending = false;
        _thread = new Thread(Receive) { IsBackground = true, Name = "hmmr-live" };
        _thread.Start();
    }

    void OnDisable()
    {
        _ending = true;
        if (_thread == null) return;
        _thread.Join();
        _thread = null;
        _socket.Close();
    }

    void Receive()
    {
        byte[] packet = new byte[HmmrLiveRecord.Bytes + 1]; // one more: what is longer is seen to be
        HmmrLiveRecord record = new HmmrLiveRecord();
        while (!_ending)
        {
            SocketError error;
            int length = _socket.Receive(packet, 0, packet.Length, SocketFlags.None, out error);
            if (error != SocketError.Success)
            {
                // TimedOut: nothing came. MessageSize: too long, so not ours. Others (Windows tells of ports that nobody
                // listens to) pass.
                if (error == SocketError.MessageSize) Refuse("not the 404 bytes of a record");
                continue;
            }
            string wrong = record.Read(packet, length);
            if (wrong != null)
            {
                Refuse(wrong);
                continue;
            }
            _received++;
            lock (_lock)
            {
                bool overtaken = record.tPublishNs < _newest.tPublishNs
                    && _newest.tPublishNs - record.tPublishNs < ReorderedNs;
                if (overtaken) continue;
                _startedAnew |= record.seq < _newest.seq;
                HmmrLiveRecord spare = _newest;
                _newest = record;
                record = spare;
                _fresh = true;
            }
        }
    }

    void Refuse(string why)
    {
        _refused++;
        _lastError = why;
    }

    void LateUpdate() // after the Animator has written its own pose
    {
        lock (_lock)
        {
            if (_fresh) _shown.CopyFrom(_newest);
            if (_startedAnew) _person = 0; // a new stream counts its persons from 1 again
            _startedAnew = false;
            _seen |= _fresh;
            _fresh = false;
        }
        // Lost: the last pose is kept; who wants another thing looks at Record.state.
        if (_seen) Apply();
    }

    void Apply()
    {
        Quaternion root = transform.rotation;
        for (int bone = 0; bone < _bones.Length; bone++)
        {
            float[] r = _shown.rotations;
            Quaternion local = new Quaternion(r[4 * bone], r[4 * bone + 1], r[4 * bone + 2], r[4 * bone + 3]);
            int parent = HmmrLiveRecord.Parents[bone];
            // Against the avatar's root, so that a bone which the avatar lacks hands its turn on to the next one.
            _turned[bone] = parent < 0 ? local : _turned[parent] * local;
            if (_bones[bone] != null) _bones[bone].rotation = root * _turned[bone] * _atRest[bone];
        }
        if (!moveHips || _shown.state == HmmrLiveRecord.State.Lost) return;
        Vector3 hips = new Vector3(_shown.hipsX, _shown.hipsY, _shown.hipsZ);
        if (_person != _shown.person || _person == 0)
        {
            _person = _shown.person;
            _firstSeen = hips;
        }
        _bones[0].position = transform.TransformPoint(_hipsAtRest + (hips - _firstSeen) * hipsScale);
    }

    // The pose that the avatar was configured in, whatever it does now.
    static Dictionary<string, SkeletonBone> TPose(Animator animator)
    {
        Dictionary<string, SkeletonBone> pose = new Dictionary<string, SkeletonBone>();
        foreach (SkeletonBone bone in animator.avatar.humanDescription.skeleton) pose[bone.name] = bone;
        return pose;
    }

    // Against the avatar's root: from the bone up to it.
    Quaternion RotationInTPose(Transform bone, Dictionary<string, SkeletonBone> pose)
    {
        Quaternion rotation = Quaternion.identity;
        for (Transform at = bone; at != null && at != transform; at = at.parent)
        {
            SkeletonBone rest;
            rotation = (pose.TryGetValue(at.name, out rest) ? rest.rotation : at.localRotation) * rotation;
        }
        return rotation;
    }
}
